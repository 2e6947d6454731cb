//! `release rollback`: return to an earlier release, image and config together.

use std::collections::BTreeSet;

use release_pipeline::rollback;

use super::deploy::{options, started};
use super::target::connect;
use crate::args::{Args, Rollback};
use crate::command::finish;
use crate::error::Failure;
use crate::exit::Exit;
use crate::signal::Stop;
use crate::talk::Talk;

pub(crate) async fn run(args: &Args, words: &Rollback, talk: &Talk, stop: &Stop) -> Result<Exit, Failure> {
    let connecting = async {
        let target = connect(args, &words.recorded).await?;
        target.require_rights().await?;
        Ok(target)
    };
    let target = stop.or(connecting).await?;
    talk.tell(started("rollback", &target, None));
    let options = options(&target, &words.run, None, BTreeSet::new(), talk);
    let mut tell = |event| talk.tell(event);
    let done =
        rollback(&target.cluster, &target.store, &target.found, &options, words.to, &mut tell, stop.token())
            .await;
    talk.finish();
    done?;
    finish::answer(args, &talk.report(), stop)
}
