//! What holds for any input.

mod support;

use std::sync::LazyLock;

use proptest::prelude::*;
use release_core::{Assessment, Status};
use release_health::{Graces, Tracker};
use serde_json::{Value, json};
use support::{Moment, index, moments};

static MOMENTS: LazyLock<Vec<Moment>> =
    LazyLock::new(|| index().iter().flat_map(|(situation, ..)| moments(situation)).collect());

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[null, {"type": 1}]])),
        prop_oneof![
            Just("True"),
            Just("Ready"),
            Just("Failed"),
            Just("CrashLoopBackOff"),
            Just("ErrImagePull")
        ]
        .prop_map(Value::from),
    ]
}

/// Puts `new` somewhere inside `value`, where `way` leads.
fn replace(value: &mut Value, way: &[u16], new: Value) {
    let Some((step, rest)) = way.split_first() else {
        *value = new;
        return;
    };
    let step = usize::from(*step);
    let next = match value {
        Value::Array(items) if !items.is_empty() => {
            let at = step % items.len();
            Some(&mut items[at])
        }
        Value::Object(fields) if !fields.is_empty() => {
            let at = step % fields.len();
            fields.values_mut().nth(at)
        }
        _ => None,
    };
    match next {
        Some(next) => replace(next, rest, new),
        None => *value = new,
    }
}

fn assess(moment: &Moment) -> Assessment {
    let mut tracker = Tracker::new(moment.target(), Graces::default());
    tracker.assess(moment.now(), &moment.snapshot());
    tracker.assess(support::at(moment.seconds + 65), &moment.snapshot())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_order_of_input_does_not_matter(i in 0..MOMENTS.len(), order in any::<[u8; 32]>()) {
        let moment = MOMENTS[i].clone();
        let mut shuffled = moment.clone();
        for (at, step) in order.iter().enumerate() {
            let length = shuffled.items.len();
            shuffled.items.swap(at % length, usize::from(*step) % length);
        }
        // Which of two workloads is meant is not a matter of order.
        prop_assert_eq!(shuffled.workload(), moment.workload());
        prop_assert_eq!(assess(&shuffled), assess(&moment));
    }

    #[test]
    fn nonsense_is_survived(
        i in 0..MOMENTS.len(),
        changes in prop::collection::vec((prop::collection::vec(any::<u16>(), 1..9), any_value()), 1..6),
    ) {
        let moment = MOMENTS[i].clone();
        let target = moment.target();
        let mut items = Value::Array(moment.items.clone());
        for (way, new) in changes {
            replace(&mut items, &way, new);
        }
        let Value::Array(items) = items else { return Ok(()) };
        let broken = Moment { items, ..moment };
        let mut tracker = Tracker::new(target, Graces::default());
        let first = tracker.assess(broken.now(), &broken.snapshot());
        prop_assert!(first.revisit_at.is_none_or(|at| at > broken.now()), "{:?}", first.revisit_at);
        if let Some(cause) = first.cause {
            prop_assert!(cause.evidence.len() <= 12);
            prop_assert!(cause.evidence.iter().all(|e| e.message.chars().count() <= 501));
            prop_assert!(!cause.summary.contains('\n'), "{}", cause.summary);
        }
    }

    #[test]
    fn never_ready_before_the_generation_is_observed(i in 0..MOMENTS.len(), ahead in 1..1000_i64) {
        let mut moment = MOMENTS[i].clone();
        let rolls = |w: &&mut Value| ["Deployment", "StatefulSet"].iter().any(|k| w["kind"] == *k);
        if let Some(workload) = moment.items.iter_mut().find(rolls) {
            let observed = workload["status"]["observedGeneration"].as_i64().unwrap_or(0);
            workload["metadata"]["generation"] = json!(observed + ahead);
            prop_assert_ne!(assess(&moment).status, Status::Ready);
        }
    }

    #[test]
    fn failed_says_why(i in 0..MOMENTS.len()) {
        let moment = MOMENTS[i].clone();
        let assessment = assess(&moment);
        if assessment.status == Status::Failed {
            let cause = assessment.cause.expect("a cause");
            prop_assert!(!cause.evidence.is_empty(), "{}", cause.summary);
        }
    }
}
