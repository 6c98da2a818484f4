//! Every Prometheus series, as typed handles. Labels come from closed sets: our own enums, and the
//! endpoints and models of the catalog, which is bounded.

mod endpoints;

use crate::snapshot::Snapshot;
use endpoints::EndpointGauges;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

/// Seconds; from a cached answer of a local model to the longest wait for a busy one.
const FIRST_TOKEN_BUCKETS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0];
/// Seconds; a whole answer.
const REQUEST_BUCKETS: &[f64] =
    &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0];
/// Seconds; our own work, which is counted in microseconds.
const OVERHEAD_BUCKETS: &[f64] =
    &[5e-6, 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4, 3.2e-4, 6.4e-4, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25];

/// Seconds; waiting for a place, up to the longest patience there usually is.
const QUEUE_BUCKETS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 20.0, 40.0, 60.0];

/// Seconds; a commit with its fsync, and waiting for one.
const COMMIT_BUCKETS: &[f64] =
    &[1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0];

/// The ledger's part. Amounts only in sum: no account, key or balance is ever a label.
#[derive(Clone)]
pub struct LedgerMetrics {
    /// Operations that wait or are under way.
    pub queue: IntGauge,
    /// Admitted requests that have not ended.
    pub open: IntGauge,
    /// Leased and not reserved, micro-credits.
    pub leased: IntGauge,
    /// Charged, micro-credits.
    pub charged: IntCounter,
    /// Used beyond a reservation and charged to nobody, micro-credits.
    pub absorbed: IntCounter,
    /// Answers that ended before their charge was durable.
    pub late: IntCounter,
    /// Commits by result.
    pub commits: IntCounterVec,
    /// How long a commit takes.
    pub commit: Histogram,
    /// How long the end of an answer waits for one.
    pub wait: Histogram,
    /// Requests not admitted, by kind.
    pub refused: IntCounterVec,
}

/// The queue's part.
#[derive(Clone)]
pub struct QueueMetrics {
    /// Requests that wait.
    pub waiting: IntGauge,
    /// How long they waited.
    pub wait: Histogram,
    /// What came of it.
    pub outcomes: IntCounterVec,
}

/// The handles. One set a process (or an embedding).
pub struct Metrics {
    registry: Registry,
    /// Requests by dialect and outcome.
    pub requests: IntCounterVec,
    /// Requests under way.
    pub in_flight: IntGauge,
    /// Upstream attempts by endpoint and result.
    pub attempts: IntCounterVec,
    /// Attempts given up for another endpoint, by the endpoint left and why.
    pub failovers: IntCounterVec,
    /// Failed attempts that were not followed by another because there had been too many retries.
    pub retries_refused: IntCounter,
    /// Tokens by model and direction.
    pub tokens: IntCounterVec,
    /// Answers by who counted their tokens.
    pub usage: IntCounterVec,
    /// Arrival of a request to its first meaningful token.
    pub first_token: HistogramVec,
    /// Arrival of a request to its end.
    pub duration: HistogramVec,
    /// Our own part: the request's way in.
    pub overhead_request: Histogram,
    /// Our own part: an upstream's first token to the client.
    pub overhead_response: Histogram,
    /// Refreshes of a provider's model list by result.
    pub catalog_refreshes: IntCounterVec,
    /// When a provider's list was last read, Unix seconds.
    pub catalog_refreshed: GaugeVec,
    /// The ledger's.
    pub ledger: LedgerMetrics,
    /// The queue's.
    pub queue: QueueMetrics,
    /// Answers to turns of conversations, by whether those stayed with their model.
    pub session_turns: IntCounterVec,
    endpoints: EndpointGauges,
}

impl Metrics {
    /// A set of series in a registry of its own.
    ///
    /// # Errors
    /// Never in practice: only if two series had one name.
    pub fn new() -> prometheus::Result<Self> {
        let build = Builder { registry: Registry::new() };
        let overhead = build.histograms(
            "freeway_overhead_seconds",
            "Time a request spends in Freeway itself, by part of its way.",
            OVERHEAD_BUCKETS,
            &["part"],
        )?;
        let info = build.gauges("freeway_build_info", "The version that runs; always 1.", &["version"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        build.process()?;
        Ok(Self {
            requests: build.counters(
                "freeway_requests_total",
                "Chat requests by dialect and outcome.",
                &["dialect", "outcome"],
            )?,
            in_flight: build.gauge("freeway_requests_in_flight", "Chat requests under way.")?,
            attempts: build.counters(
                "freeway_attempts_total",
                "Upstream attempts by endpoint and result.",
                &["endpoint", "result"],
            )?,
            failovers: build.counters(
                "freeway_failovers_total",
                "Attempts given up for another endpoint, by the endpoint left and the reason.",
                &["endpoint", "reason"],
            )?,
            retries_refused: build.counter(
                "freeway_retries_refused_total",
                "Failed attempts not followed by another because there had been too many retries.",
            )?,
            tokens: build.counters(
                "freeway_tokens_total",
                "Tokens of delivered answers by model and direction.",
                &["model", "direction"],
            )?,
            usage: build.counters(
                "freeway_usage_reports_total",
                "Delivered answers by who counted their tokens: reported by the provider or estimated here.",
                &["source"],
            )?,
            first_token: build.histograms(
                "freeway_first_token_seconds",
                "Arrival of a request to its first meaningful token.",
                FIRST_TOKEN_BUCKETS,
                &["streamed"],
            )?,
            duration: build.histograms(
                "freeway_request_duration_seconds",
                "Arrival of a request to the end of its answer.",
                REQUEST_BUCKETS,
                &["streamed"],
            )?,
            overhead_request: overhead.with_label_values(&["request"]),
            overhead_response: overhead.with_label_values(&["response"]),
            catalog_refreshes: build.counters(
                "freeway_catalog_refreshes_total",
                "Refreshes of a provider's model list by result.",
                &["provider", "result"],
            )?,
            catalog_refreshed: build.gauges(
                "freeway_catalog_refresh_timestamp_seconds",
                "When a provider's model list was last read, Unix time.",
                &["provider"],
            )?,
            ledger: build.ledger()?,
            queue: build.queue()?,
            session_turns: build.counters(
                "freeway_session_turns_total",
                "Answers to turns of conversations by whether those stayed with their model.",
                &["outcome"],
            )?,
            endpoints: EndpointGauges::new(&build)?,
            registry: build.registry,
        })
    }

    /// The text format, with the gauges of every endpoint as they are at `now_ms` (Unix).
    ///
    /// # Errors
    /// Never in practice: only if a series were malformed.
    pub fn render(&self, snapshot: &Snapshot, now_ms: u64) -> prometheus::Result<Vec<u8>> {
        self.endpoints.set(snapshot, now_ms);
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

struct Builder {
    registry: Registry,
}

impl Builder {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let series = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.registry.register(Box::new(series.clone()))?;
        Ok(series)
    }

    fn ledger(&self) -> prometheus::Result<LedgerMetrics> {
        let seconds = |name: &str, help: &str| {
            self.histograms(name, help, COMMIT_BUCKETS, &[])
                .map(|series| series.with_label_values::<&str>(&[]))
        };
        Ok(LedgerMetrics {
            queue: self
                .gauge("freeway_ledger_queue", "Operations that wait for the ledger or are under way.")?,
            open: self.gauge("freeway_ledger_open", "Admitted requests that are not settled yet.")?,
            leased: self.gauge(
                "freeway_ledger_leased_microcredits",
                "Micro-credits leased to this process and not reserved.",
            )?,
            charged: self.counter("freeway_charged_microcredits_total", "Micro-credits charged.")?,
            absorbed: self.counter(
                "freeway_absorbed_microcredits_total",
                "Micro-credits used beyond a reservation and charged to nobody.",
            )?,
            late: self.counter(
                "freeway_ledger_late_total",
                "Answers that ended before their charge was durable; it stays queued.",
            )?,
            commits: self.counters(
                "freeway_ledger_commits_total",
                "Commits of the ledger by result.",
                &["result"],
            )?,
            commit: seconds("freeway_ledger_commit_seconds", "How long a commit of the ledger takes.")?,
            wait: seconds(
                "freeway_ledger_wait_seconds",
                "How long the end of an answer waits for its charge.",
            )?,
            refused: self.counters(
                "freeway_refused_total",
                "Requests not admitted by kind: key, credits, cap, minute, day, ledger.",
                &["kind"],
            )?,
        })
    }

    fn queue(&self) -> prometheus::Result<QueueMetrics> {
        let help = "How long requests waited for a place, whatever came of it.";
        let wait = self.histograms("freeway_queue_wait_seconds", help, QUEUE_BUCKETS, &[])?;
        Ok(QueueMetrics {
            waiting: self.gauge("freeway_queue_waiting", "Requests that wait for a place.")?,
            wait: wait.with_label_values::<&str>(&[]),
            outcomes: self.counters(
                "freeway_queue_total",
                "What came of waiting: served, expired, full (no room to wait), left.",
                &["outcome"],
            )?,
        })
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let series = IntCounter::new(name, help)?;
        self.registry.register(Box::new(series.clone()))?;
        Ok(series)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let series = IntGauge::new(name, help)?;
        self.registry.register(Box::new(series.clone()))?;
        Ok(series)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        let series = GaugeVec::new(Opts::new(name, help), labels)?;
        self.registry.register(Box::new(series.clone()))?;
        Ok(series)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let series = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
        self.registry.register(Box::new(series.clone()))?;
        Ok(series)
    }

    fn process(&self) -> prometheus::Result<()> {
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let start: Gauge =
            Gauge::new("freeway_start_timestamp_seconds", "When the process started, Unix time.")?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        start.set(since.as_secs_f64());
        self.registry.register(Box::new(start))
    }
}
