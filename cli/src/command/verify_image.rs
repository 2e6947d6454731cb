//! `release verify-image`: who signed an image, and what is said about it.

use std::fmt::Write as _;
use std::path::Path;

use release_core::{ImageRef, PinnedImage};
use release_image::{Kind, SIGNED};
use release_pipeline::{Claim, Examined, Form, Policy, Verifier};
use serde_json::{Value, json};

use super::supply::{place, policy, verifying_key};
use crate::answer::{self, table};
use crate::args::{Args, Required, VerifyImage};
use crate::error::Failure;
use crate::exit::Exit;
use crate::workspace::Workspace;

pub(crate) async fn run(args: &Args, words: &VerifyImage) -> Result<Exit, Failure> {
    let reference: ImageRef = words.image.parse().map_err(|error: release_core::ImageRefError| {
        Failure::Usage { message: error.to_string(), hint: None }
    })?;
    let mut wanted = wanted(args, words)?;
    wanted.attested.extend(words.require.iter().map(|required| match required {
        Required::Sbom => Kind::Sbom,
        Required::Provenance => Kind::Provenance,
    }));
    let mut verifier = Verifier::new()?;
    let image = verifier.resolve(&reference).await?;
    let examined = verifier.examine(&image, &wanted.verifying_keys()).await?;
    let verdict = wanted.judge(&image, &examined.proofs);
    let value = value(&image, &wanted, &examined, verdict.is_ok());
    answer::print(args.output, &value, || text(&image, &wanted, &examined))?;
    match verdict {
        Ok(()) => Ok(Exit::Done),
        Err(unmet) => Err(Failure::Check { message: unmet.to_string() }),
    }
}

/// The keys that are trusted, and what is wanted: of the words, or of an environment's policy.
fn wanted(args: &Args, words: &VerifyImage) -> Result<Policy, Failure> {
    if let Some(env) = &words.env {
        let workspace = Workspace::load(args)?;
        let environment = workspace.environment(env, true)?;
        let signed = environment.signed.as_ref().ok_or_else(|| Failure::Usage {
            message: format!("environment `{env}` does not say who has to sign images"),
            hint: Some("add `policy: {signed: {keys: [release.pub]}}` to it, or give --key FILE".to_owned()),
        })?;
        return policy(&workspace.root, signed);
    }
    if words.keys.is_empty() {
        return Err(Failure::Usage {
            message: "no key is named that the image should be signed by".to_owned(),
            hint: Some(
                "give --key FILE with a public key, or --env ENV for the keys of its policy".to_owned(),
            ),
        });
    }
    let keys = words.keys.iter().map(|word| verifying_key(Path::new(""), &place(word)));
    Ok(Policy { keys: keys.collect::<Result<_, _>>()?, attested: [].into() })
}

/// What is known, one line a claim: everything that is proven, and everything that is wanted and is not.
fn rows(wanted: &Policy, examined: &Examined) -> Vec<Claim> {
    let mut rows: Vec<Claim> = examined.proofs.iter().map(|proof| Claim::of(proof, wanted)).collect();
    let wanted = [SIGNED].into_iter().chain(wanted.attested.iter().map(|kind| kind.predicate_type()));
    for claim in wanted {
        if !examined.proofs.iter().any(|proof| proof.claim == claim) {
            rows.push(Claim::missing(claim));
        }
    }
    rows.sort();
    rows
}

fn value(image: &PinnedImage, wanted: &Policy, examined: &Examined, good: bool) -> Value {
    let claims: Vec<Value> = rows(wanted, examined)
        .into_iter()
        .map(|row| match row.by {
            Some((key, form, artifact)) => json!({
                "claim": row.name, "good": true, "key": key, "form": form_word(form), "artifact": artifact,
            }),
            None => json!({"claim": row.name, "good": false}),
        })
        .collect();
    let rejected: Vec<Value> = examined
        .rejected
        .iter()
        .map(|rejected| json!({"artifact": rejected.artifact, "why": rejected.why}))
        .collect();
    json!({"v": 1, "image": image.to_string(), "good": good, "claims": claims, "rejected": rejected})
}

fn form_word(form: Form) -> &'static str {
    match form {
        Form::Bundle => "bundle",
        Form::Tag => "tag",
    }
}

fn text(image: &PinnedImage, wanted: &Policy, examined: &Examined) -> String {
    let mut out = format!("{image}\n");
    let rows: Vec<Vec<String>> = rows(wanted, examined)
        .into_iter()
        .map(|row| match row.by {
            Some((key, form, artifact)) => {
                let how = format!("{} {}", form_word(form), artifact.short());
                vec![row.name, "good".to_owned(), key, how]
            }
            None => vec![row.name, "missing".to_owned()],
        })
        .collect();
    out.push_str(&table(&["CLAIM", "VERDICT", "KEY", "FOUND IN"], &rows));
    for rejected in &examined.rejected {
        let _ = writeln!(out, "not counted: {}: {}", rejected.artifact.short(), rejected.why);
    }
    out
}
