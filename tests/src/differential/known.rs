//! What is different on purpose: each entry with its reason. The same table stands in `docs/reference/simulation.md`.

use serde_json::Value;

use super::operation::Operation;

/// A difference that stays.
pub struct Known {
    /// What differs.
    pub what: &'static str,
    /// Why it may.
    pub why: &'static str,
    /// Makes the simulation's answer the real one where, and only where, this is the difference.
    mend: fn(&Operation, &Value, &mut Value),
}

/// Everything that is known to differ.
pub const KNOWN: &[Known] = &[
    Known {
        what: "the words for a body that is not of the type",
        why: "they quote the decoder's buffer, and every version has another decoder; code, reason and beginning agree",
        mend: decoder_words,
    },
    Known {
        what: "values inside messages of invalid fields",
        why: "1.20 prints structs and differences of structs as Go source, later versions as JSON; field, reason and explanation agree",
        mend: go_values,
    },
    Known {
        what: "paths of several conflicts under one parent",
        why: "1.20 overwrites one of them with another by mistake; number and managers agree",
        mend: conflict_paths,
    },
    Known {
        what: "configurations with several faults",
        why: "1.20 tells all of them, the simulation the first; code, reason and that fault agree",
        mend: several_faults,
    },
    Known {
        what: "optional parts of the answer to a PUT that is only tried",
        why: "1.20 decodes it over the object that was there, so that what was left out shows; nothing is stored",
        mend: tried_updates,
    },
];

/// Mends what is known to differ; whether that explains everything.
pub(super) fn explain(operation: &Operation, real: &Value, simulated: &mut Value) -> bool {
    for known in KNOWN {
        (known.mend)(operation, real, simulated);
    }
    real == simulated
}

fn text<'v>(answer: &'v Value, pointer: &str) -> &'v str {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Takes over the words and nothing else.
fn take_words(real: &Value, simulated: &mut Value) {
    simulated["body"]["message"] = real["body"]["message"].clone();
    let causes = real.pointer("/body/details/causes").and_then(Value::as_array);
    let ours = simulated.pointer_mut("/body/details/causes").and_then(Value::as_array_mut);
    for (theirs, ours) in causes.into_iter().flatten().zip(ours.into_iter().flatten()) {
        ours["message"] = theirs["message"].clone();
    }
}

fn decoder_words(_: &Operation, real: &Value, simulated: &mut Value) {
    let (theirs, ours) = (text(real, "/body/message"), text(simulated, "/body/message"));
    let same_start = |mark: &str| {
        let (theirs, ours) = (theirs.find(mark), ours.find(mark));
        theirs.is_some() && theirs == ours
    };
    if same_start(" cannot be handled as a ") || same_start(" is invalid: patch: Invalid value: ") {
        take_words(real, simulated);
    }
}

fn go_values(_: &Operation, real: &Value, simulated: &mut Value) {
    let causes = |answer: &Value| answer.pointer("/body/details/causes").and_then(Value::as_array).cloned();
    let (Some(theirs), Some(ours)) = (causes(real), causes(simulated)) else { return };
    let is_same = |(theirs, ours): (&Value, &Value)| {
        let (a, b) = (text(theirs, "/message"), text(ours, "/message"));
        theirs["field"] == ours["field"]
            && theirs["reason"] == ours["reason"]
            && (a == b
                || is_difference(a.strip_prefix(b).unwrap_or_default())
                || is_go_value(a) && explanation(a) == explanation(b))
    };
    if theirs.len() == ours.len() && theirs.iter().zip(&ours).all(is_same) {
        take_words(real, simulated);
    }
}

/// Whether what follows a message is a difference of Go structs. Each process draws anew which kind of spaces it prints.
fn is_difference(rest: &str) -> bool {
    rest.starts_with('\n') && rest.trim_start().starts_with("core.PodSpec{")
}

/// Whether a message quotes something that is no plain word, number or text.
fn is_go_value(message: &str) -> bool {
    let value = message.split_once(" value: ").map_or("", |(_, value)| value);
    let marks = ["map[", "[]", "v1.", "core.", "apps.", "batch.", "networking.", "&", "intstr."];
    marks.iter().any(|mark| value.starts_with(mark))
}

/// What is said after the value.
fn explanation(message: &str) -> &str {
    if message.starts_with("Duplicate value: ") {
        return "";
    }
    message.rsplit_once(": ").map_or(message, |(_, explanation)| explanation)
}

fn conflict_paths(_: &Operation, real: &Value, simulated: &mut Value) {
    let first_line = |answer: &Value| text(answer, "/body/message").split(':').next().map(str::to_owned);
    let causes = |answer: &Value| answer.pointer("/body/details/causes").and_then(Value::as_array).cloned();
    let (Some(theirs), Some(ours)) = (causes(real), causes(simulated)) else { return };
    let conflicts = |causes: &[Value]| -> Option<Vec<String>> {
        let mut managers: Vec<String> = causes
            .iter()
            .filter(|cause| cause["reason"] == "FieldManagerConflict")
            .map(|cause| cause["message"].to_string())
            .collect();
        managers.sort();
        managers.dedup();
        (!managers.is_empty()).then_some(managers)
    };
    let is_deep = theirs.iter().any(|cause| text(cause, "/field").matches('.').count() > 3);
    if is_deep && first_line(real) == first_line(simulated) && conflicts(&theirs) == conflicts(&ours) {
        simulated["body"]["details"]["causes"] = real["body"]["details"]["causes"].clone();
        simulated["body"]["message"] = real["body"]["message"].clone();
    }
}

fn several_faults(_: &Operation, real: &Value, simulated: &mut Value) {
    const START: &str = "failed to create typed patch object: ";
    let (theirs, ours) = (text(real, "/body/message"), text(simulated, "/body/message"));
    let (Some(theirs), Some(ours)) = (theirs.strip_prefix(START), ours.strip_prefix(START)) else { return };
    if theirs.starts_with("errors:") && theirs.contains(ours) {
        take_words(real, simulated);
    }
}

fn tried_updates(operation: &Operation, real: &Value, simulated: &mut Value) {
    if operation.method != "PUT" || !operation.path.contains("dryRun=All") {
        return;
    }
    let Some(theirs) = real.pointer("/body/spec").and_then(Value::as_object) else { return };
    let Some(ours) = simulated.pointer_mut("/body/spec").and_then(Value::as_object_mut) else { return };
    for (field, value) in theirs.iter().filter(|(_, value)| value.is_object()) {
        ours.entry(field.as_str()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::operation::Body;
    use super::*;

    #[test]
    fn differences_of_go_structs_are_known_with_either_kind_of_spaces() {
        let operation = Operation {
            method: "PUT".to_owned(),
            path: "/api/v1/namespaces/{ns}/pods/a".to_owned(),
            content_type: String::new(),
            agent: String::new(),
            body: Body::Nothing,
        };
        let answer = |rest: &str| {
            let message = format!("Forbidden: pod updates may not change fields{rest}");
            let cause = json!({"reason": "FieldValueForbidden", "field": "spec", "message": message});
            json!({"code": 422, "body": {"message": message, "details": {"causes": [cause]}}})
        };
        let known = |rest: &str| explain(&operation, &answer(rest), &mut answer(""));
        assert!(known("\n  core.PodSpec{\n  \tVolumes: nil,\n  }\n"));
        assert!(known("\n\u{a0}\u{a0}core.PodSpec{\n\u{a0}\u{a0}\tVolumes: nil,\n\u{a0}\u{a0}}\n"));
        assert!(!known(" other than the image"));
    }
}
