//! The store's history against a plain record of everything that happened.

use std::collections::BTreeMap;

use proptest::prelude::*;
use release_sim::{ApiServer, By, DeleteOptions, Seed, What, resource};
use serde_json::json;

#[derive(Debug, Clone)]
enum Step {
    Write(u8, u8),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6_u8, 0..4_u8).prop_map(|(name, value)| Step::Write(name, value)),
        1 => (0..6_u8).prop_map(Step::Delete),
    ]
}

proptest! {
    #[test]
    fn the_past_can_be_read(steps in prop::collection::vec(step(), 1..60)) {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut server = ApiServer::new(now, &Seed::default());
        let (maps, by) = (&resource::CONFIG_MAPS, By::nobody());
        let mut expected: BTreeMap<String, String> = BTreeMap::new();
        let start = server.store().revision();
        let mut past = vec![(start, expected.clone())];
        for step in steps {
            match step {
                Step::Write(name, value) => {
                    let (name, value) = (format!("m{name}"), value.to_string());
                    let body = json!({"metadata": {"name": name}, "data": {"v": value}});
                    let before = server.store().revision();
                    if expected.contains_key(&name) {
                        server.update(now, maps, "default", &name, body, &by).unwrap();
                    } else {
                        server.create(now, maps, "default", body, &by).unwrap();
                    }
                    let is_new = expected.insert(name, value.clone()) != Some(value);
                    prop_assert_eq!(server.store().revision(), before + u64::from(is_new));
                }
                Step::Delete(name) => {
                    let name = format!("m{name}");
                    let gone = server.delete(now, maps, "default", &name, &DeleteOptions::default(), &by);
                    prop_assert_eq!(gone.is_ok(), expected.remove(&name).is_some());
                }
            }
            past.push((server.store().revision(), expected.clone()));
        }
        for (revision, expected) in &past {
            let found: BTreeMap<String, String> = server
                .store()
                .at(maps, Some("default"), *revision)
                .unwrap()
                .iter()
                .map(|o| (o.name().to_owned(), o["data"]["v"].as_str().unwrap().to_owned()))
                .collect();
            prop_assert_eq!(&found, expected);
            // Whoever follows the changes from there arrives at the present.
            let mut followed = found;
            for change in server.store().changes(maps, *revision).unwrap() {
                let name = change.object.name().to_owned();
                match change.what {
                    What::Deleted => drop(followed.remove(&name)),
                    What::Added | What::Modified => {
                        followed.insert(name, change.object["data"]["v"].as_str().unwrap().to_owned());
                    }
                }
            }
            prop_assert_eq!(Some(&followed), past.last().map(|(_, last)| last));
        }
    }
}
