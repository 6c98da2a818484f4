//! What is known without a server that runs: the models written down, and what providers list when asked.

use crate::catalog::Catalog;
use crate::config::Config;
use crate::services::catalog_sync::{Described, Lists, fetch};
use crate::services::simulated_provider;

/// The models written down and the simulated ones; with `ask`, the providers' lists too.
pub(super) fn catalog(config: &Config, ask: bool) -> Catalog {
    let mut config = config.clone();
    let mut lists = Lists::default();
    for provider in config.providers.iter().filter(|p| ask && p.list_url.is_some()) {
        let listing = fetch(provider, &mut Described::default());
        if let Err(error) = &listing {
            eprintln!("freeway: {}: {error}", provider.provider.name);
        }
        let now_ms = super::books::now_ms();
        let slug = &provider.provider.slug;
        lists.note(slug, Some(listing), Described::default(), config.refresh, now_ms);
    }
    if let Some(models) = &config.simulated {
        config.providers.push(simulated_provider::configured(models, 0));
    }
    lists.catalog(&config)
}
