//! The providers' lists as they were last read, when to look again, and the catalog they come to.

use super::fetch::{Described, FetchError};
use crate::catalog::{Catalog, Endpoint, LeftOut, ListState, Listing, MAX_LEFT_OUT, Unfit};
use crate::config::{Config, ConfiguredProvider};
use std::collections::HashMap;
use std::time::Duration;

/// A list that could not be read is asked for again after this, and twice as long each further time, up to
/// the time between two looks: a provider that was away for a moment at the start is not missed for long.
const RETRY_MS: u64 = 10_000;

/// What is known of every provider's list, by slug.
#[derive(Debug, Default)]
pub struct Lists(HashMap<String, Known>);

#[derive(Debug, Default)]
struct Known {
    listing: Option<Listing>,
    described: Described,
    state: ListState,
    due_ms: u64,
}

impl Lists {
    /// The providers to look at now.
    pub(super) fn due<'a>(&self, config: &'a Config, now_ms: u64) -> Vec<&'a ConfiguredProvider> {
        let due = |p: &&ConfiguredProvider| self.due_ms(p) <= now_ms;
        config.providers.iter().filter(|p| is_asked(p)).filter(due).collect()
    }

    /// Milliseconds until the next look at any.
    pub(super) fn pause_ms(&self, config: &Config, now_ms: u64) -> u64 {
        let next = config.providers.iter().filter(|p| is_asked(p)).map(|p| self.due_ms(p)).min();
        next.map_or(millis(config.refresh), |due| due.saturating_sub(now_ms).max(1))
    }

    fn due_ms(&self, provider: &ConfiguredProvider) -> u64 {
        self.0.get(&provider.provider.slug).map_or(0, |known| known.due_ms)
    }

    /// What its models were described as, to be given back with [`note`](Self::note).
    pub(super) fn take_described(&mut self, slug: &str) -> Described {
        self.0.get_mut(slug).map(|known| std::mem::take(&mut known.described)).unwrap_or_default()
    }

    /// Keeps what a look at a provider brought; a list that could not be read leaves the last good one in use.
    pub fn note(
        &mut self,
        slug: &str,
        listing: Option<Result<Listing, FetchError>>,
        described: Described,
        refresh: Duration,
        now_ms: u64,
    ) {
        let known = self.0.entry(slug.to_owned()).or_default();
        known.described = described;
        let state = &mut known.state;
        slug.clone_into(&mut state.provider);
        let mut pause_ms = millis(refresh);
        match listing {
            Some(Ok(listing)) => {
                state.read_ms = Some(now_ms);
                state.served = listing.models.len();
                state.left_out = listing.not_free.len() + listing.skipped.len();
                (state.failures, state.failed) = (0, None);
                known.listing = Some(listing);
            }
            Some(Err(error)) => {
                pause_ms = pause_ms.min(RETRY_MS << state.failures.min(16));
                state.failures = state.failures.saturating_add(1);
                state.failed = Some((now_ms, error.to_string()));
            }
            None => {}
        }
        // A tenth of jitter, so that many instances do not ask at the same moment.
        known.due_ms = now_ms + (pause_ms as f64 * (0.95 + 0.1 * fastrand::f64())) as u64;
    }

    /// The catalog of the models written down and what the lists said.
    pub fn catalog(&self, config: &Config) -> Catalog {
        let known = || config.providers.iter().filter_map(|p| self.0.get(&p.provider.slug));
        let listings = || known().filter_map(|known| Some((&known.state.provider, known.listing.as_ref()?)));
        let mut endpoints: Vec<Endpoint> =
            config.providers.iter().flat_map(|p| p.models.iter().cloned()).collect();
        endpoints.extend(listings().flat_map(|(_, l)| l.models.iter().cloned()));
        let not_free = listings().flat_map(|(_, l)| l.not_free.iter().cloned()).collect();
        let mut catalog = Catalog::new(endpoints).with_not_free(not_free);
        catalog.left_out = listings().flat_map(|(slug, l)| left_out(slug, l)).take(MAX_LEFT_OUT).collect();
        let has_list = |known: &&Known| known.state.read_ms.is_some() || known.state.failed.is_some();
        catalog.lists = known().filter(has_list).map(|known| known.state.clone()).collect();
        catalog
    }
}

fn left_out<'a>(slug: &'a str, listing: &'a Listing) -> impl Iterator<Item = LeftOut> + 'a {
    let not_free = listing.not_free.iter().map(|id| (id, Unfit::NotFree.reason()));
    let skipped = listing.skipped.iter().map(|(id, why)| (id, *why));
    let row = |(id, why): (&String, _)| LeftOut { provider: slug.to_owned(), id: id.clone(), why };
    skipped.chain(not_free).map(row)
}

/// Whether there is anything to ask it.
fn is_asked(provider: &ConfiguredProvider) -> bool {
    provider.list_url.is_some() || provider.quota.is_some()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    const T: u64 = 1_787_400_000_000;
    const REFRESH: Duration = Duration::from_secs(600);

    fn config() -> Config {
        let key = |name: &str| (name == "GROQ_API_KEY").then(|| "k".to_owned());
        Config::load(None, &Overrides::default(), &key).expect("defaults")
    }

    fn listing(config: &Config, ids: &[&str]) -> Listing {
        let provider = &config.providers[0].provider;
        let model = |id: &&str| crate::catalog::Model { id: (*id).to_owned(), ..Default::default() };
        let endpoint = |id| Endpoint::new(provider.clone(), model(id), String::new());
        Listing {
            models: ids.iter().map(endpoint).collect(),
            not_free: vec!["paid".to_owned()],
            skipped: vec![("guard".to_owned(), "a classifier")],
        }
    }

    fn note(lists: &mut Lists, listing: Result<Listing, FetchError>, now_ms: u64) -> u64 {
        lists.note("groq", Some(listing), Described::default(), REFRESH, now_ms);
        lists.pause_ms(&config(), now_ms)
    }

    fn failed() -> Result<Listing, FetchError> {
        Err(FetchError::Fetch("status 500".to_owned()))
    }

    #[test]
    fn a_list_is_looked_at_at_once_and_then_after_the_time_between_two_looks() {
        let config = config();
        let mut lists = Lists::default();
        assert_eq!(lists.due(&config, T).len(), 1);
        let pause = note(&mut lists, Ok(listing(&config, &["a"])), T);
        assert!((570_000..=630_000).contains(&pause), "{pause}");
        assert!(lists.due(&config, T).is_empty());
        assert_eq!(lists.due(&config, T + pause).len(), 1);
    }

    #[test]
    fn one_that_fails_is_asked_again_soon_and_less_and_less_often() {
        let mut lists = Lists::default();
        let pauses: Vec<_> = (0..8).map(|_| note(&mut lists, failed(), T).div_ceil(1_000)).collect();
        for (pause, expect) in pauses.iter().zip([10, 20, 40, 80, 160, 320, 600, 600]) {
            let off = pause.abs_diff(expect);
            assert!(off * 20 <= expect + 20, "{pauses:?}");
        }
    }

    #[test]
    fn the_last_good_list_stays_and_the_failure_is_remembered() {
        let config = config();
        let mut lists = Lists::default();
        note(&mut lists, Ok(listing(&config, &["a", "b"])), T);
        note(&mut lists, failed(), T + 1);
        let catalog = lists.catalog(&config);
        assert!(catalog.serves("a") && catalog.serves("b") && catalog.is_not_free("paid"));
        let state = &catalog.lists[0];
        assert_eq!((state.read_ms, state.served, state.left_out, state.failures), (Some(T), 2, 2, 1));
        let (at, why) = state.failed.clone().expect("a failure");
        assert!(at == T + 1 && why.contains("status 500"), "{why}");
        let why: Vec<_> = catalog.left_out.iter().map(|l| (l.id.as_str(), l.why)).collect();
        assert_eq!(why, [("guard", "a classifier"), ("paid", "not free")]);

        note(&mut lists, Ok(listing(&config, &["b"])), T + 2);
        let catalog = lists.catalog(&config);
        assert!(!catalog.serves("a") && catalog.serves("b"), "what vanished is out");
        assert_eq!((catalog.lists[0].failures, &catalog.lists[0].failed), (0, &None));
    }
}
