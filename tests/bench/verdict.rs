//! How long from the watch event that makes a Deployment complete, as an independent client sees it, to our verdict.
fn main() {}
