//! Lists that end: what is kept when there is more than anybody reads.

/// Phases of a service. There are nine; runs that take a release up again repeat some.
pub(super) const PHASES: usize = 60;
/// Changes of readiness of a service: more than a drawing can show.
pub(super) const READINESS: usize = 400;
/// Things that looked wrong with a service.
pub(super) const SUSPICIONS: usize = 20;
/// Verdicts of a service's checks.
pub(super) const CHECKS: usize = 600;
/// Checks of a service that are counted.
pub(super) const TALLIES: usize = 60;
/// Planned changes of a service.
pub(super) const CHANGES: usize = 200;
/// Writes for a service.
pub(super) const WRITES: usize = 400;
/// Workloads of a service of which something was saved.
pub(super) const CAPTURES: usize = 8;
/// Notes of a whole release.
pub(super) const NOTES: usize = 60;
/// Runs of one release. A lock that is lost does not make a new run; only people do.
pub(super) const RUNS: usize = 60;
/// Services of one release.
pub(super) const SERVICES: usize = 1000;

/// Adds to a list that keeps its first `most`; says how many fell away.
pub(super) fn push<T>(list: &mut Vec<T>, most: usize, item: T) -> u32 {
    if list.len() >= most {
        return 1;
    }
    list.push(item);
    0
}

/// Adds to a list that, when it is full, gives up every second of the items that `may_go`; when none may, the new one.
pub(super) fn thin<T>(list: &mut Vec<T>, most: usize, item: T, may_go: impl Fn(&T) -> bool) -> u32 {
    let mut gone = 0;
    if list.len() >= most {
        let mut odd = false;
        let before = list.len();
        list.retain(|item| {
            if may_go(item) {
                odd = !odd;
            }
            !may_go(item) || odd
        });
        gone = u32::try_from(before - list.len()).unwrap_or(u32::MAX);
    }
    gone.saturating_add(push(list, most, item))
}
