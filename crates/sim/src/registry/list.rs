//! Lists in pages: tags, and repositories.

use http::StatusCode;
use http::header::LINK;
use serde_json::json;

use super::access::{Access, Action};
use super::answer::{Code, Draft, Refusal, Reply};
use super::auth::Principal;
use super::exchange::Call;
use super::machine::Registry;
use super::route::query;

/// One page of a sorted list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    pub(super) items: Vec<&'a str>,
    /// How many were asked for, or are given at most.
    pub(super) n: usize,
    /// The last item, if there are more after it.
    pub(super) more_after: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// The page that `n` and `last` of a request ask for, of `most` items at most.
    pub(super) fn of(
        call: &Call<'_>,
        most: usize,
        sorted: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Refusal> {
        let number = |text: &str| text.parse().map_err(|_| Refusal::new(Code::PaginationNumberInvalid));
        let n: usize = call.params.get("n").map(number).transpose()?.unwrap_or(most).min(most);
        let last = call.params.get("last");
        let mut rest = sorted.filter(|item| last.is_none_or(|last| *item > last));
        let items: Vec<&str> = rest.by_ref().take(n).collect();
        // A page of nothing leads nowhere.
        let more_after = items.last().copied().filter(|_| rest.next().is_some());
        Ok(Self { items, n, more_after })
    }
}

/// The `Link` to the next page.
pub(super) fn next(call: &Call<'_>, n: usize, last: &str) -> String {
    let n = n.to_string();
    let mut pairs = vec![("n", n.as_str()), ("last", last)];
    pairs.extend(call.params.get("artifactType").map(|value| ("artifactType", value)));
    format!(r#"<{}?{}>; rel="next""#, call.path, query(&pairs))
}

impl Registry {
    /// `GET …/tags/list`
    pub(super) fn list_tags(&mut self, call: &Call<'_>, name: &str) -> Reply {
        let repository = self.store.repository(name).ok_or_else(|| Refusal::new(Code::NameUnknown))?;
        let page = Page::of(call, self.profile.page, repository.tags())?;
        Ok(list(call, &page).json("application/json", &json!({ "name": name, "tags": page.items })))
    }

    /// `GET /v2/_catalog`: the repositories that the client may read.
    pub(super) fn catalog(&mut self, call: &Call<'_>) -> Reply {
        if !self.profile.catalog {
            return Err(Refusal::new(Code::Unsupported));
        }
        let principal = self.identify(call)?;
        if matches!(self.access, Access::Restricted { .. }) && principal == Principal::Anonymous {
            return Err(self.challenge(call, &[], None));
        }
        let names = self.store.repositories().map(|(name, _)| name);
        let readable = names.filter(|name| self.may(&principal, name, Action::Pull));
        let page = Page::of(call, self.profile.page, readable)?;
        Ok(list(call, &page).json("application/json", &json!({ "repositories": page.items })))
    }
}

fn list(call: &Call<'_>, page: &Page<'_>) -> Draft {
    let draft = Draft::new(StatusCode::OK);
    match page.more_after {
        Some(last) => draft.header(LINK, next(call, page.n, last)),
        None => draft,
    }
}
