//! What a folder with a cache takes, gives, and forgets.

use release_layout::digest;

use super::*;

fn stores(dir: &Path) -> Stores {
    Stores::new([("to".to_owned(), dir.to_owned())])
}

fn request(action: Action, offset: i64, data: &[u8], expected: &str) -> WriteRequest {
    WriteRequest {
        action: action.into(),
        offset,
        data: data.to_vec(),
        expected: expected.to_owned(),
        ..WriteRequest::default()
    }
}

/// Writes a blob as BuildKit does: asks, sends, completes.
fn write(store: &Store, bytes: &[u8]) -> Result<Digest, Status> {
    let name = digest(bytes);
    let mut blob = Incoming::begin(store)?;
    let total = i64::try_from(bytes.len()).unwrap();
    let asked = WriteRequest { total, ..request(Action::Stat, 0, b"", name.as_str()) };
    assert_eq!(blob.take(&asked)?.offset, 0);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let sent = blob.take(&request(Action::Write, 0, first, ""))?.offset;
    // It asks in between how far it came, and says nothing else.
    assert_eq!(blob.take(&request(Action::Stat, 0, b"", ""))?.offset, sent);
    let answer = blob.take(&request(Action::Commit, sent, rest, name.as_str()))?;
    assert_eq!((answer.offset, &*answer.digest), (total, name.as_str()));
    Ok(name)
}

fn read(store: &Store, wanted: &ReadRequest) -> Result<Vec<u8>, Status> {
    let (sender, mut receiver) = mpsc::channel(64);
    store.read(wanted, &sender)?;
    drop(sender);
    let mut bytes = Vec::new();
    while let Some(piece) = receiver.blocking_recv() {
        let piece = piece?;
        assert_eq!(piece.offset, wanted.offset.max(0) + i64::try_from(bytes.len()).unwrap());
        bytes.extend(piece.data);
    }
    Ok(bytes)
}

#[test]
fn what_was_written_is_read_from_anywhere_and_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let stores = stores(&dir.path().join("cache"));
    let store = stores.get("to").unwrap();
    let bytes: Vec<u8> = (0..PIECE_BYTES * 2 + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let name = write(store, &bytes).unwrap();
    assert_eq!(store.info(name.as_str()).unwrap().size, signed(bytes.len() as u64));
    let wanted = |offset, size| ReadRequest { digest: name.to_string(), offset, size };
    assert_eq!(read(store, &wanted(0, 0)).unwrap(), bytes);
    assert_eq!(read(store, &wanted(7, 3)).unwrap(), bytes[7..10]);
    assert_eq!(read(store, &wanted(signed(bytes.len() as u64), 10)).unwrap(), b"");
    assert_eq!(read(store, &wanted(-5, 2)).unwrap(), bytes[..2]);

    assert_eq!(write(store, &bytes).unwrap_err().code(), tonic::Code::AlreadyExists);
    // One that is broken is written again.
    let mut broken = bytes.clone();
    broken[7] ^= 1;
    std::fs::write(release_layout::blob(&store.dir, &name), &broken).unwrap();
    // Those before hold the lock.
    drop(stores);
    let stores = Stores::new(["from-0", "to"].map(|name| (name.to_owned(), dir.path().join("cache"))));
    assert_eq!(stores.get("from-0").unwrap().info(name.as_str()).unwrap_err().code(), tonic::Code::NotFound);
    let store = stores.get("to").unwrap();
    assert_eq!(read(store, &wanted(0, 0)).unwrap_err().code(), tonic::Code::NotFound);
    assert!(matches!(&*stores.damage(), [(_, LayoutError::Form { path, .. })] if path.ends_with(name.hex())));
    write(store, &bytes).unwrap();
    assert_eq!(read(store, &wanted(0, 0)).unwrap(), bytes);
}

#[test]
fn nothing_gets_a_name_that_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let stores = stores(&dir.path().join("cache"));
    let store = stores.get("to").unwrap();
    let refused = |request: &WriteRequest| Incoming::begin(store).unwrap().take(request).unwrap_err();
    let other = digest(b"other");
    let renamed = refused(&request(Action::Commit, 0, b"this", other.as_str()));
    assert!(renamed.message().ends_with(&format!("came instead of {other}")), "{renamed:?}");
    let short = WriteRequest { total: 5, ..request(Action::Commit, 0, b"this", "") };
    assert_eq!(refused(&short).message(), "4 bytes came instead of 5");
    assert_eq!(refused(&request(Action::Write, 3, b"this", "")).code(), tonic::Code::OutOfRange);
    let left = std::fs::read_dir(release_layout::blobs(&store.dir)).unwrap().count();
    assert_eq!(left, 0);
    assert_eq!(store.info("sha256:../../../etc/passwd").unwrap_err().code(), tonic::Code::NotFound);
}

#[test]
fn a_folder_has_the_newest_cache_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    assert_eq!(cached(&path).unwrap(), None);
    for (layer, config) in [("one", "{}"), ("two", "{}"), ("two", "{ }")] {
        let stores = stores(&path);
        let store = stores.get("to").unwrap();
        for bytes in [layer, config] {
            if let Err(status) = write(store, bytes.as_bytes()) {
                assert_eq!(status.code(), tonic::Code::AlreadyExists);
            }
        }
        let (layer, config) = (digest(layer.as_bytes()), digest(config.as_bytes()));
        let kind = format!("{CACHE_CONFIG}v0");
        let manifest =
            json!({"manifests": [{"digest": layer}, {"digest": config, "mediaType": kind}]}).to_string();
        let top = write(store, manifest.as_bytes()).unwrap();
        store
            .finish(&json!({"digest": top, "size": manifest.len(), "mediaType": "x/y"}).to_string())
            .unwrap();
        assert_eq!(cached(&path).unwrap(), Some(top.clone()));
        let mut names: Vec<_> = std::fs::read_dir(release_layout::blobs(&path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut expected = [&top, &layer, &config].map(|digest| digest.hex().to_owned());
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
    }
}

/// An image in the folder: a wrong path in a project must not cost somebody his artefact.
#[test]
fn images_are_not_replaced_by_a_cache() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Unlocked::at(dir.path()).unwrap().lock().unwrap();
    let manifest = json!({"config": {"mediaType": "application/vnd.oci.image.config.v1+json"}, "layers": []})
        .to_string();
    let image = digest(manifest.as_bytes());
    folder.put(&image, manifest.as_bytes()).unwrap();
    for name in ["web", LATEST] {
        let index = json!({"manifests": [{"digest": image, "annotations": {REF_NAME: name}}]});
        folder.put_index(index.to_string().as_bytes()).unwrap();
        let refused = can_keep(dir.path()).unwrap_err().to_string();
        assert!(refused.ends_with("it has images, which a cache would replace"), "{refused}");
    }
    drop(folder);
    let stores = stores(dir.path());
    write(stores.get("to").unwrap(), b"layer").unwrap_err();
    assert!(stores.trouble().is_some());
    assert!(release_layout::blob(dir.path(), &image).exists());
}

#[test]
fn a_cache_the_engine_did_not_leave_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let stores = stores(&path);
    let store = stores.get("to").unwrap();
    write(store, b"layer").unwrap();
    for said in ["", "{}", &json!({"digest": digest(b"never sent")}).to_string()] {
        store.finish(said).unwrap_err();
        assert_eq!(cached(&path).unwrap(), None, "{said}");
    }
}

#[test]
fn a_folder_with_something_else_in_it_is_not_touched_and_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.odt"), "").unwrap();
    let stores = stores(dir.path());
    let status = write(stores.get("to").unwrap(), b"layer").unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    assert!(matches!(stores.trouble(), Some(LayoutError::Foreign { path }) if path == dir.path()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn only_folders_of_the_build_are_stores() {
    let dir = tempfile::tempdir().unwrap();
    let stores = stores(dir.path());
    for (id, known) in [("local:to", true), ("local:from-0", false), ("local:/etc", false), ("", false)] {
        let mut request = Request::new(());
        request.metadata_mut().insert(STORE, id.parse().unwrap());
        assert_eq!(stores.named(&request).is_ok(), known, "{id}");
    }
    assert!(stores.named(&Request::new(())).is_err());
}
