//! How good scores and labels are.

use std::collections::BTreeMap;

/// The average performance gap recovered: prompts go to the strong model in the order of their scores, and this
/// is the mean share of its advantage that is had by then (RouteLLM's metric). 0.5 is what chance gives; equal
/// scores stand in random order. `None` when the strong model has no advantage.
pub(super) fn apgr(gains: &[f32], scores: &[f32]) -> Option<f64> {
    let mut order: Vec<usize> = (0..gains.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let total: f64 = gains.iter().map(|gain| f64::from(*gain)).sum();
    if total <= 1e-9 {
        return None;
    }
    let (mut area, mut had, mut at) = (0.0, 0.0, 0);
    while at < order.len() {
        let score = scores[order[at]];
        let equal = order[at..].iter().take_while(|i| scores[**i].total_cmp(&score).is_eq()).count();
        let group: f64 = order[at..at + equal].iter().map(|i| f64::from(gains[*i])).sum();
        area += equal as f64 * (had + group / 2.0);
        had += group;
        at += equal;
    }
    Some(area / total / gains.len() as f64)
}

/// Spearman's rank correlation; 0 when either side is constant.
pub(super) fn spearman(a: &[f32], b: &[f32]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product: f64 = a.iter().zip(&b).map(|(a, b)| (a - mean) * (b - mean)).sum();
    let square = |ranks: &[f64]| ranks.iter().map(|rank| (rank - mean).powi(2)).sum::<f64>();
    let size = (square(&a) * square(&b)).sqrt();
    if size > 0.0 { product / size } else { 0.0 }
}

/// Ranks from 1; equals share their mean rank.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let equal = order[at..].iter().take_while(|i| values[**i] == values[order[at]]).count();
        for i in &order[at..at + equal] {
            ranks[*i] = at as f64 + (equal as f64 + 1.0) / 2.0;
        }
        at += equal;
    }
    ranks
}

/// The mean of the labels' F1, over the labels that occur.
pub(super) fn macro_f1<L: Ord + Copy>(pairs: &[(L, L)]) -> f64 {
    let f1s = f1_by_label(pairs);
    f1s.values().sum::<f64>() / f1s.len().max(1) as f64
}

/// The F1 of each label that occurs; pairs of the true one and the one given.
pub(super) fn f1_by_label<L: Ord + Copy>(pairs: &[(L, L)]) -> BTreeMap<L, f64> {
    let mut counts: BTreeMap<L, [f64; 3]> = BTreeMap::new();
    for (truth, given) in pairs {
        counts.entry(*truth).or_default()[0] += 1.0;
        counts.entry(*given).or_default()[1] += 1.0;
        if truth == given {
            counts.entry(*truth).or_default()[2] += 1.0;
        }
    }
    let occurs = counts.into_iter().filter(|(_, [gold, _, _])| *gold > 0.0);
    occurs.map(|(label, [gold, given, right])| (label, 2.0 * right / (gold + given))).collect()
}

/// The mean squared error of probabilities (Brier's score).
pub(super) fn brier(pairs: &[(bool, f32)]) -> f64 {
    let error = |(truth, p): &(bool, f32)| f64::from(*p - f32::from(u8::from(*truth))).powi(2);
    pairs.iter().map(error).sum::<f64>() / pairs.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_order_recovers_more_than_chance_and_a_constant_score_half() {
        let gains = [1.0, 0.0, 0.0, 1.0];
        assert_eq!(apgr(&gains, &[0.9, 0.1, 0.2, 0.8]), Some(0.75));
        assert_eq!(apgr(&gains, &[0.5; 4]), Some(0.5));
        assert_eq!(apgr(&gains, &[0.1, 0.9, 0.8, 0.2]), Some(0.25));
        assert_eq!(apgr(&[0.0, 0.0], &[0.1, 0.2]), None);
    }

    #[test]
    fn ranks_correlate_whatever_the_scale() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        assert_eq!(spearman(&[1.0, 1.0], &[3.0, 2.0]), 0.0);
    }

    #[test]
    fn f1_counts_labels_alike_however_frequent() {
        let pairs = [('a', 'a'), ('a', 'a'), ('a', 'b'), ('b', 'b')];
        assert_eq!(f1_by_label(&pairs)[&'a'], 0.8);
        assert!((macro_f1(&pairs) - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }
}
