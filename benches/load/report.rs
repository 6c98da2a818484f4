//! The printed table: medians over rounds, and ratios to the bare proxy of the same round.

/// One target in one round. Times in microseconds, of requests or, of streams, to the first event.
pub(crate) struct Row {
    /// Requests, or events of streams, a second.
    pub(crate) per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// How long an event was held between upstream and client.
    pub(crate) hold_p50_us: f64,
    pub(crate) hold_p99_us: f64,
    /// CPU seconds for 1,000 requests or events.
    pub(crate) cpu_s_per_1000: f64,
    pub(crate) streams: bool,
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One case for all targets: upstream, bare proxy, Freeway.
pub(crate) fn case(name: &str, bytes: usize, connections: usize, names: &[&str; 3], rows: &[Vec<Row>; 3]) {
    let streams = rows.iter().flatten().any(|r| r.streams);
    let what = if streams { "events/s" } else { "requests/s" };
    println!("\n{name}: {bytes} bytes, {connections} connections");
    print!("{:<10}{what:>12}{:>11}{:>11}{:>13}", "", "p50 ms", "p99 ms", "CPU s/1000");
    if streams {
        print!("{:>14}{:>14}", "hold p50 ms", "hold p99 ms");
    }
    println!("{:>9}{:>9}{:>9}", "rps x", "p50 +µs", "CPU x");
    for (at, (name, own)) in names.iter().zip(rows).enumerate() {
        let of = |value: fn(&Row) -> f64| median(own.iter().map(value));
        print!(
            "{name:<10}{:>12.0}{:>11.3}{:>11.3}",
            of(|r| r.per_s),
            of(|r| r.p50_us) / 1e3,
            of(|r| r.p99_us) / 1e3
        );
        print!("{:>13.4}", of(|r| r.cpu_s_per_1000));
        if streams {
            print!("{:>14.3}{:>14.3}", of(|r| r.hold_p50_us) / 1e3, of(|r| r.hold_p99_us) / 1e3);
        }
        let bare = &rows[1];
        print!("{:>9.2}", ratio(own, bare, |r| r.per_s));
        print!("{:>+9.0}", added(own, bare));
        // The upstream's own CPU is no proxy's.
        if at == 0 {
            println!("{:>9}", "-")
        } else {
            println!("{:>9.2}", ratio(own, bare, |r| r.cpu_s_per_1000))
        }
    }
}

/// One case for two targets, the second as a ratio to the first.
pub(crate) fn pair(name: &str, connections: usize, names: [&str; 2], rows: &[Vec<Row>; 2]) {
    println!("\n{name}, {connections} connections");
    println!(
        "{:<10}{:>10}{:>11}{:>11}{:>13}{:>9}{:>9}",
        "", "per s", "p50 ms", "p99 ms", "CPU s/1000", "per s x", "CPU x"
    );
    for (name, own) in names.iter().zip(rows) {
        let of = |value: fn(&Row) -> f64| median(own.iter().map(value));
        print!("{name:<10}{:>10.0}{:>11.3}", of(|r| r.per_s), of(|r| r.p50_us) / 1e3);
        print!("{:>11.3}{:>13.4}", of(|r| r.p99_us) / 1e3, of(|r| r.cpu_s_per_1000));
        let ratio = |value| ratio(own, &rows[0], value);
        println!("{:>9.2}{:>9.2}", ratio(|r| r.per_s), ratio(|r| r.cpu_s_per_1000));
    }
}

/// Says whether the ceilings are kept.
pub(crate) fn targets(bare: &[Row], freeway: &[Row], cpu: Option<f64>, p50_us: Option<f64>) {
    let verdict = |reached: f64, target: f64| if reached <= target { "kept" } else { "MISSED" };
    if let Some(target) = cpu {
        let reached = ratio(freeway, bare, |r| r.cpu_s_per_1000);
        println!("target: CPU at most {target:.2} x bare: {}", verdict(reached, target));
    }
    if let Some(target) = p50_us {
        println!("target: p50 at most {target:.0} µs over bare: {}", verdict(added(freeway, bare), target));
    }
    if freeway.iter().any(|r| r.streams) {
        let tail = median(freeway.iter().zip(bare).map(|(f, b)| f.hold_p99_us - b.hold_p99_us)) / 1e3;
        println!("target: no 20 ms tail over bare when events pass: {}", verdict(tail, 10.0));
    }
}

/// The median of the rounds' ratios.
pub(crate) fn ratio(own: &[Row], bare: &[Row], value: fn(&Row) -> f64) -> f64 {
    median(own.iter().zip(bare).map(|(o, b)| value(o) / value(b)))
}

fn added(own: &[Row], bare: &[Row]) -> f64 {
    median(own.iter().zip(bare).map(|(o, b)| o.p50_us - b.p50_us))
}
