//! What travels when a folder is asked for as BuildKit asks.

use std::fmt::Write as _;

use bollard::moby::filesync::packet::file_sync_client::FileSyncClient;
use bollard::moby::filesync::packet::file_sync_server::FileSyncServer;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tonic::metadata::AsciiMetadataKey;
use tonic::service::Routes;
use tonic::transport::Channel;

use super::*;

/// BuildKit's end of a session that offers `folders`.
async fn session(folders: BTreeMap<String, Folder>, trouble: &Trouble) -> FileSyncClient<Channel> {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let server = FileSyncServer::new(Folders { by_name: folders, trouble: trouble.clone() });
    let routes = TowerToHyperService::new(Routes::new(server).prepare());
    tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(here), routes));
    let mut there = Some(TokioIo::new(there));
    let connector =
        tower::service_fn(move |_| std::future::ready(there.take().ok_or_else(|| io::Error::other("once"))));
    let endpoint = tonic::transport::Endpoint::from_static("http://release");
    FileSyncClient::new(endpoint.connect_with_connector(connector).await.unwrap())
}

/// What the folder `name` gives when paths are asked for by these headers, and then every file whose name `wants` likes.
async fn synchronized(
    client: &mut FileSyncClient<Channel>,
    name: &str,
    headers: &[(&str, &str)],
    wants: impl Fn(&str) -> bool,
) -> Result<String, Status> {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut request = Request::new(futures::stream::poll_fn(move |context| receiver.poll_recv(context)));
    for (key, value) in [("dir-name", name)].iter().chain(headers) {
        let key = AsciiMetadataKey::from_bytes(key.as_bytes()).unwrap();
        // As BuildKit before 0.12 does: bytes that are no ASCII just so.
        let value = tonic::codegen::http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let mut map = tonic::codegen::http::HeaderMap::new();
        map.insert("value", value);
        let value = MetadataMap::from_headers(map).get("value").unwrap().clone();
        request.metadata_mut().append(key, value);
    }
    let mut packets = client.diff_copy(request).await?.into_inner();
    let ask = |kind: PacketType, id| {
        let packet = Packet { r#type: kind.into(), id, ..Packet::default() };
        let sender = sender.clone();
        async move { sender.send(packet).await.unwrap() }
    };
    let mut told = String::new();
    let mut open = Vec::new();
    let mut place = 0;
    while let Some(packet) = packets.message().await? {
        match packet.r#type() {
            PacketType::PacketStat => {
                if let Some(stat) = packet.stat {
                    writeln!(told, "{:o} {} {}{}", stat.mode, stat.size, stat.path, link(&stat)).unwrap();
                    assert_eq!((stat.uid, stat.gid, stat.mod_time), (0, 0, 946_684_800_000_000_000));
                    if stat.mode & (FOLDER | LINK) == 0 && wants(&stat.path) {
                        open.push(place);
                    }
                    place += 1;
                } else {
                    for id in &open {
                        ask(PacketType::PacketReq, *id).await;
                    }
                    if open.is_empty() {
                        ask(PacketType::PacketFin, 0).await;
                    }
                }
            }
            PacketType::PacketData if packet.data.is_empty() => {
                writeln!(told, "end of {}", packet.id).unwrap();
                open.retain(|id| *id != packet.id);
                if open.is_empty() {
                    ask(PacketType::PacketFin, 0).await;
                }
            }
            PacketType::PacketData => {
                let text = String::from_utf8_lossy(&packet.data);
                writeln!(told, "{} has {} bytes: {:.10}", packet.id, packet.data.len(), text).unwrap();
            }
            PacketType::PacketFin => told.push_str("fin\n"),
            other => panic!("{other:?}"),
        }
    }
    Ok(told)
}

fn link(stat: &Stat) -> String {
    if stat.linkname.is_empty() { String::new() } else { format!(" -> {}", stat.linkname) }
}

fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("a.d/empty")).unwrap();
    fs::create_dir_all(path("a")).unwrap();
    for (name, text, mode) in [
        ("Dockerfile", "FROM scratch\n", 0o600),
        ("a/one", "1", 0o644),
        ("a.d/two", "22", 0o4755),
        ("a-b", "", 0o644),
        ("ü", "u", 0o644),
        ("large", &"x".repeat(PIECE_BYTES + 1), 0o644),
    ] {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for name in ["a", "a.d", "a.d/empty"] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::os::unix::fs::symlink("a/one", path("link")).unwrap();
    dir
}

#[tokio::test]
async fn a_folder_is_told_in_order_and_only_what_is_asked_for_is_read() {
    let dir = folder();
    let trouble = Trouble::default();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let folders = BTreeMap::from([("context".to_owned(), Folder::Whole(dir.path().to_owned()))]);
    let mut client = session(folders, &trouble).await;
    let all = synchronized(&mut client, "context", &[], |path| path == "large" || path == "a.d/two").await;
    insta::assert_snapshot!(all.unwrap());
    assert_eq!(trouble.skipped().into_iter().collect::<Vec<_>>(), ["socket"]);
    assert!(trouble.take().is_none());
}

#[tokio::test]
async fn names_beyond_ascii_come_as_they_are_or_escaped() {
    let dir = folder();
    let folders = BTreeMap::from([("context".to_owned(), Folder::Whole(dir.path().to_owned()))]);
    let mut client = session(folders, &Trouble::default()).await;
    for headers in [
        &[("include-patterns", "ü")][..],
        &[("include-patterns", "%C3%BC"), ("include-patterns-encoded", "1")],
        &[("followpaths", "ü")],
        &[("exclude-patterns", "*"), ("exclude-patterns", "!ü")],
    ] {
        let sent = synchronized(&mut client, "context", headers, |_| false).await.unwrap();
        assert_eq!(sent, "644 1 ü\nfin\n", "{headers:?}");
    }
}

#[tokio::test]
async fn the_dockerfile_is_the_only_thing_in_its_folder() {
    let dir = folder();
    std::os::unix::fs::symlink("Dockerfile", dir.path().join("web.Dockerfile")).unwrap();
    let files = BTreeMap::from([("web.Dockerfile".to_owned(), dir.path().join("web.Dockerfile"))]);
    let folders = BTreeMap::from([("dockerfile".to_owned(), Folder::Files(files))]);
    let mut client = session(folders, &Trouble::default()).await;
    let asked = [("include-patterns", "web.Dockerfile"), ("include-patterns", "web.Dockerfile.dockerignore")];
    let sent = synchronized(&mut client, "dockerfile", &asked, |_| true).await.unwrap();
    assert_eq!(sent, "600 13 web.Dockerfile\n0 has 13 bytes: FROM scrat\nend of 0\nfin\n");
    let other = synchronized(&mut client, "dockerfile", &[("include-patterns", "large")], |_| true).await;
    assert_eq!(other.unwrap(), "fin\n");
}

#[tokio::test]
async fn nothing_else_of_this_machine_is_given() {
    let dir = folder();
    let folders = BTreeMap::from([("context".to_owned(), Folder::Whole(dir.path().to_owned()))]);
    let mut client = session(folders, &Trouble::default()).await;
    let other = synchronized(&mut client, "/etc", &[], |_| true).await.unwrap_err();
    assert_eq!(other.message(), "the build was given no folder `/etc`");
    let above = [("followpaths", "../../../etc/hostname"), ("include-patterns", "../..")];
    assert_eq!(synchronized(&mut client, "context", &above, |_| true).await.unwrap(), "fin\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_breaks_the_folder_off_and_is_named() {
    let dir = folder();
    let trouble = Trouble::default();
    let folders = BTreeMap::from([("context".to_owned(), Folder::Whole(dir.path().to_owned()))]);
    let mut client = session(folders, &trouble).await;
    let gone = |path: &str| {
        // It was told, and is gone before it is read.
        let _ = fs::remove_file(dir.path().join("large"));
        path == "large"
    };
    let error = synchronized(&mut client, "context", &[], gone).await.unwrap_err();
    assert_eq!(error.message(), "the folder cannot be read");
    let Some(ContextError::Read { path, .. }) = trouble.take() else { panic!("no reason") };
    assert_eq!(path, dir.path().join("large"));
}
