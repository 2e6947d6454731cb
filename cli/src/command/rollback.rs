//! `release rollback`: return to an earlier release, image and config together.

use std::collections::BTreeSet;

use release_pipeline::rollback;

use super::deploy::{options, started};
use super::target::{Target, find_in_turn};
use crate::args::{Args, Rollback};
use crate::command::finish;
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::Turn;
use crate::signal::Stop;
use crate::talk::Talk;

pub(crate) async fn run(args: &Args, words: &Rollback, talk: &Talk, stop: &Stop) -> Result<Exit, Failure> {
    let place = stop.or(find_in_turn(args, &words.recorded, Turn::Wait(words.run.lock_timeout))).await?;
    let work = async |target: &Target| {
        stop.or(target.require_rights()).await?;
        talk.tell(started("rollback", target, None));
        let options = options(target, &words.run, None, BTreeSet::new(), talk);
        let mut tell = |event| talk.tell(event);
        let Target { cluster, store, found, .. } = target;
        Ok(rollback(cluster, store, found, &options, words.to, &mut tell, stop.token()).await?)
    };
    let done = place.visit(Some(talk), work).await;
    talk.finish();
    done?;
    finish::answer(args, &talk.report(), stop)
}
