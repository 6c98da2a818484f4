//! What a model can do and what a request needs, as sets of one closed vocabulary.
//!
//! The names are OpenRouter's `supported_parameters` and modality names, so that a catalog row, a
//! request and an error message speak the same language. Values and ranges of parameters are not
//! looked at here; the inspector does that.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

macro_rules! capabilities {
    ($($variant:ident = $name:literal, $kind:ident;)*) => {
        /// One thing an endpoint can do, or one parameter it understands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Capability { $(#[doc = $name] $variant,)* }

        impl Capability {
            /// Every capability, in declaration order.
            pub const ALL: &[Capability] = &[$(Capability::$variant),*];

            /// The name users and catalogs know it by.
            pub const fn name(self) -> &'static str {
                match self { $(Capability::$variant => $name),* }
            }

            const fn kind(self) -> Kind {
                match self { $(Capability::$variant => Kind::$kind),* }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Input,
    Output,
    Parameter,
    Service,
}

capabilities! {
    ImageInput = "image", Input;
    AudioInput = "audio", Input;
    VideoInput = "video", Input;
    FileInput = "file", Input;
    ImageOutput = "image", Output;
    AudioOutput = "audio", Output;
    Tools = "tools", Parameter;
    ToolChoice = "tool_choice", Parameter;
    ParallelToolCalls = "parallel_tool_calls", Parameter;
    ResponseFormat = "response_format", Parameter;
    StructuredOutputs = "structured_outputs", Parameter;
    Reasoning = "reasoning", Parameter;
    ReasoningEffort = "reasoning_effort", Parameter;
    IncludeReasoning = "include_reasoning", Parameter;
    Logprobs = "logprobs", Parameter;
    TopLogprobs = "top_logprobs", Parameter;
    MultipleChoices = "n", Parameter;
    Temperature = "temperature", Parameter;
    TopP = "top_p", Parameter;
    TopK = "top_k", Parameter;
    MinP = "min_p", Parameter;
    TopA = "top_a", Parameter;
    FrequencyPenalty = "frequency_penalty", Parameter;
    PresencePenalty = "presence_penalty", Parameter;
    RepetitionPenalty = "repetition_penalty", Parameter;
    MaxTokens = "max_tokens", Parameter;
    MaxCompletionTokens = "max_completion_tokens", Parameter;
    LogitBias = "logit_bias", Parameter;
    Prediction = "prediction", Parameter;
    Seed = "seed", Parameter;
    Stop = "stop", Parameter;
    Verbosity = "verbosity", Parameter;
    WebSearchOptions = "web_search_options", Parameter;
    ServerTools = "server_tools", Service;
    Grammar = "grammar", Service;
}

impl Capability {
    /// The capability a catalog's `supported_parameters` entry or a request's field stands for.
    pub fn from_parameter(name: &str) -> Option<Self> {
        Self::find(Kind::Parameter, name)
    }

    /// The capability behind one of a catalog's `input_modalities` (`text` needs none).
    pub fn from_input_modality(name: &str) -> Option<Self> {
        Self::find(Kind::Input, name)
    }

    /// The capability behind one of a catalog's `output_modalities` (`text` needs none).
    pub fn from_output_modality(name: &str) -> Option<Self> {
        Self::find(Kind::Output, name)
    }

    /// The capability an operator or a provider profile means by `name`: a parameter, a service or an
    /// input modality. Outputs other than text cannot be named; no endpoint here has them.
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::from_parameter(name).or_else(|| Self::from_input_modality(name));
        found.or_else(|| Self::find(Kind::Service, name))
    }

    fn find(kind: Kind, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.kind() == kind && c.name() == name)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Input => write!(f, "{} input", self.name()),
            Kind::Output => write!(f, "{} output", self.name()),
            Kind::Parameter | Kind::Service => f.write_str(self.name()),
        }
    }
}

/// A set of capabilities in one word.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

const _: () = assert!(Capability::ALL.len() <= 64, "the set is one word");

impl CapabilitySet {
    /// The set with nothing in it.
    pub const EMPTY: Self = Self(0);

    /// Adds one.
    pub const fn insert(&mut self, c: Capability) {
        self.0 |= 1 << c as u8;
    }

    /// Takes one out.
    pub const fn remove(&mut self, c: Capability) {
        self.0 &= !(1 << c as u8);
    }

    /// The set with `c` added.
    #[must_use]
    pub const fn with(mut self, c: Capability) -> Self {
        self.insert(c);
        self
    }

    /// Whether `c` is in it.
    pub const fn contains(self, c: Capability) -> bool {
        self.0 & (1 << c as u8) != 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many are in it.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The members in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |c| self.contains(*c))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> Self {
        let mut set = Self::EMPTY;
        iter.into_iter().for_each(|c| set.insert(c));
        set
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CapabilitySet {
    /// Reads a list of names, as in `["tools", "image"]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let known = |name: &String| {
            Capability::from_name(name)
                .ok_or_else(|| serde::de::Error::custom(format_args!("unknown capability `{name}`")))
        };
        names.iter().map(known).collect()
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|c| c.to_string())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_input_and_image_output_are_told_apart() {
        assert_eq!(Capability::from_input_modality("image"), Some(Capability::ImageInput));
        assert_eq!(Capability::from_output_modality("image"), Some(Capability::ImageOutput));
        assert_eq!(Capability::from_parameter("image"), None);
    }

    #[test]
    fn what_a_model_lacks_is_the_difference() {
        let needs = CapabilitySet::EMPTY.with(Capability::Tools).with(Capability::ImageInput);
        let has = CapabilitySet::EMPTY.with(Capability::Tools);
        let missing: Vec<_> = needs.difference(has).iter().collect();
        assert_eq!(missing, [Capability::ImageInput]);
    }
}
