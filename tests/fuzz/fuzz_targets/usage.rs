//! Whatever a provider reports, what is billed is consistent and bounded by what was delivered.
#![no_main]

use freeway::metering::Meter;
use freeway::money::{MicroCredits, Price};
use freeway::protocol::usage::{ReportedUsage, UsageSource};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, Option<u32>, Vec<&str>, &str)| {
    let (prompt_estimate, counted, texts, report) = input;
    let mut meter = Meter::default();
    texts.iter().for_each(|text| meter.deliver(text));
    let reported = ReportedUsage::parse(report);
    reported.into_iter().for_each(|usage| meter.report(usage));
    let measured = meter.measure(prompt_estimate, counted);
    let usage = measured.usage;
    assert!(usage.cached_tokens <= usage.prompt_tokens);
    assert!(usage.reasoning_tokens <= usage.completion_tokens);
    if reported.is_none() {
        assert_eq!(measured.source, UsageSource::Estimated);
        assert_eq!(usage.prompt_tokens, prompt_estimate);
    }
    if measured.source == UsageSource::Reported {
        assert!(meter.pending_text().is_none(), "nothing is counted when all is reported");
        let delivered: usize = texts.iter().map(|text| text.len()).sum();
        assert!(u64::from(usage.completion_tokens) * 128 >= delivered as u64);
    }
    assert!(Price::default().charge(&usage) >= MicroCredits::ZERO);
});
