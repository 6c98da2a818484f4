//! Least squares with a penalty on large weights, solved by conjugate gradients.

use super::rows::Seen;
use crate::classifier::ROWS;

/// A row to fit: its position, what is to be said of it, and how much it counts.
pub(super) type Example = (usize, f32, f32);

/// One head, before it is rounded.
pub(super) struct Linear {
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
}

/// Steps that are taken at most; the error is below a thousandth long before.
const MOST_STEPS: usize = 60;
const CLOSE_ENOUGH: f64 = 1e-3;

impl Linear {
    /// What it says of a row.
    pub(super) fn of(&self, seen: &Seen) -> f32 {
        self.bias + seen.weight() * seen.features.iter().map(|row| self.weights[*row as usize]).sum::<f32>()
    }
}

/// Fits a head to examples whose counts average about 1.
pub(super) fn fit(seen: &[Seen], examples: &[Example], penalty: f32) -> Linear {
    let total: f64 = examples.iter().map(|(_, _, count)| f64::from(*count)).sum();
    let mean: f64 =
        examples.iter().map(|(_, value, count)| f64::from(value * count)).sum::<f64>() / total.max(1e-9);
    let bias = mean as f32;
    let mut weights = vec![0.0_f32; ROWS];
    // The residual of the normal equations, and the direction of the next step.
    let mut residual = vec![0.0_f32; ROWS];
    for (row, value, count) in examples {
        spread(&seen[*row], (value - bias) * count, &mut residual);
    }
    let mut direction = residual.clone();
    let mut size = dot(&residual, &residual);
    let enough = size * CLOSE_ENOUGH * CLOSE_ENOUGH;
    let mut image = vec![0.0_f32; ROWS];
    for _ in 0..MOST_STEPS {
        if size <= enough || size == 0.0 {
            break;
        }
        image.iter_mut().zip(&direction).for_each(|(i, d)| *i = penalty * d);
        for (row, _, count) in examples {
            let seen = &seen[*row];
            let along: f32 = seen.features.iter().map(|f| direction[*f as usize]).sum();
            spread(seen, along * seen.weight() * count, &mut image);
        }
        let step = (size / dot(&direction, &image)) as f32;
        weights.iter_mut().zip(&direction).for_each(|(w, d)| *w += step * d);
        residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= step * i);
        let next = dot(&residual, &residual);
        let turn = (next / size) as f32;
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + turn * *d);
        size = next;
    }
    Linear { weights, bias }
}

fn spread(seen: &Seen, value: f32, over: &mut [f32]) {
    let value = value * seen.weight();
    for feature in &seen.features {
        over[*feature as usize] += value;
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}
