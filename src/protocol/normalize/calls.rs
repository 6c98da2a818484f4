//! Tool calls: which fragment belongs to which call, and what each must carry.
//!
//! Clients join the fragments of a call by `index` and take the first one's id. Gemini leaves the index
//! out or repeats 0 for parallel calls; some servers repeat id, type and name in every fragment, which
//! clients would join into one long name; some send no id at all.

use super::Fault;
use super::event::RawCall;
use super::object::{Object, quote, says_something, text};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Calls in one answer of one choice; more is no sane answer.
const MAX_CALLS: usize = 256;

/// The calls of one choice so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<KnownCall>);

#[derive(Debug)]
struct KnownCall {
    upstream_index: Option<u64>,
    /// A hash, since ids may have any length.
    id: Option<u64>,
    named: bool,
}

/// A fragment as clients want it, or a whole call. Fields are JSON text.
pub(super) struct Call<'a> {
    /// Position of the call among those of its choice.
    pub(super) number: usize,
    /// On the first fragment only.
    pub(super) id: Option<Cow<'a, str>>,
    /// `type`, on the first fragment only.
    pub(super) kind: Option<Cow<'a, str>>,
    /// `name` (once a call) and `arguments` (always a string).
    pub(super) function: Option<Object<'a>>,
    /// Every other member.
    pub(super) rest: Object<'a>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Brings a fragment into shape. `whole`: it is a call of its own, not a fragment. `id_prefix`
    /// starts the ids made up for calls that have none.
    ///
    /// # Errors
    /// [`Fault::Malformed`] beyond [`MAX_CALLS`] calls.
    pub(super) fn take<'a>(
        &mut self,
        raw: RawCall<'a>,
        whole: bool,
        id_prefix: &str,
    ) -> Result<Call<'a>, Fault> {
        let RawCall { function, mut rest } = raw;
        let index = rest.take("index").and_then(|index| index.parse().ok());
        let id = rest.take("id").filter(|id| says_something(id));
        let kind = rest.take("type").filter(|kind| says_something(kind));
        let named = function.as_ref().and_then(|f| f.get("name")).is_some_and(says_something);
        let hash = id.as_deref().map(hash);
        let found = if whole { None } else { self.locate(index, hash, named) };
        let first = found.is_none();
        let number = found.unwrap_or(self.0.len());
        if first {
            if number == MAX_CALLS {
                return Err(Fault::Malformed);
            }
            self.0.push(KnownCall { upstream_index: index, id: hash, named: false });
        }
        let known = &mut self.0[number];
        known.id = known.id.or(hash);
        let named_before = known.named;
        known.named |= named;
        let missing = if whole { r#""{}""# } else { r#""""# };
        let function = function.map(|f| tidy_function(f, named_before, first.then_some(missing)));
        let (id, kind) = match first {
            true => (
                Some(id.unwrap_or_else(|| quote(&format!("call_{id_prefix}_{number}")).into())),
                Some(kind.unwrap_or(Cow::Borrowed("\"function\""))),
            ),
            false => (None, None),
        };
        Ok(Call { number, id, kind, function, rest })
    }

    fn locate(&self, index: Option<u64>, id: Option<u64>, named: bool) -> Option<usize> {
        let by_id = id.and_then(|id| self.0.iter().rposition(|call| call.id == Some(id)));
        let by_index = || {
            let at = self.0.iter().rposition(|call| call.upstream_index == index)?;
            let other_call = id.is_some() && self.0[at].id.is_some() && named;
            (!other_call).then_some(at)
        };
        match index {
            _ if by_id.is_some() => by_id,
            Some(_) => by_index(),
            None if id.is_some() || named => None,
            None => self.0.len().checked_sub(1),
        }
    }
}

fn tidy_function<'a>(
    mut function: Object<'a>,
    named_before: bool,
    missing_arguments: Option<&'static str>,
) -> Object<'a> {
    function.retain(|key, value| !(key == "name" && (named_before || value == "null")));
    match function.take("arguments") {
        Some(arguments) if text(&arguments).is_some() => function.set("arguments", arguments),
        // Ollama's native form: an object where clients expect its text.
        Some(arguments) => function.set("arguments", quote(&arguments)),
        None => missing_arguments.into_iter().for_each(|none| function.set("arguments", none)),
    }
    function
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::object::ReadList;
    use super::*;

    /// Takes the fragments in turn; shows each as `number id name arguments`.
    #[track_caller]
    fn check(fragments: &str, whole: bool, expect: &[&str]) {
        let ReadList(raw) = serde_json::from_str(fragments).expect("a list of calls");
        let mut calls = Calls::default();
        let shown: Vec<String> = raw
            .into_iter()
            .map(|raw| {
                let call = calls.take(raw, whole, "p").expect("few calls");
                let function = call.function.unwrap_or_default();
                let show = |json: Option<&str>| json.unwrap_or("-").trim_matches('"').to_owned();
                let (name, arguments) = (show(function.get("name")), show(function.get("arguments")));
                format!("{} {} {name} {arguments}", call.number, show(call.id.as_deref()))
            })
            .collect();
        assert_eq!(shown, expect);
    }

    #[test]
    fn openai_fragments_are_kept() {
        check(
            r#"[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}},
                {"index":0,"function":{"arguments":"{"}},{"index":0,"function":{"arguments":"}"}},
                {"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]"#,
            false,
            &["0 a f ", "0 - - {", "0 - - }", "1 b g {}"],
        );
    }

    #[test]
    fn calls_without_an_index_are_numbered_by_id_and_order() {
        check(
            r#"[{"id":"a","function":{"name":"f","arguments":"{"}},{"id":"a","function":{"arguments":"}"}},
                {"id":"b","function":{"name":"f","arguments":"{"}},{"function":{"arguments":"}"}}]"#,
            false,
            &["0 a f {", "0 - - }", "1 b f {", "1 - - }"],
        );
    }

    #[test]
    fn parallel_calls_that_all_say_index_0_are_told_apart_by_id() {
        check(
            r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},
                {"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]"#,
            false,
            &["0 a f {}", "1 b f {}"],
        );
    }

    #[test]
    fn missing_ids_and_arguments_are_made_up() {
        check(
            r#"[{"id":"","function":{"name":"f"}},{"id":null,"function":{"name":"g","arguments":null}}]"#,
            false,
            &["0 call_p_0 f ", "1 call_p_1 g "],
        );
        check(r#"[{"function":{"name":"f"}}]"#, true, &["0 call_p_0 f {}"]);
    }

    #[test]
    fn a_repeated_id_and_name_are_sent_once() {
        check(
            r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}},
                {"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]"#,
            false,
            &["0 a f {", "0 - - }"],
        );
    }

    #[test]
    fn arguments_given_as_an_object_become_its_text() {
        check(r#"[{"function":{"name":"f","arguments":{"x":1}}}]"#, true, &[r#"0 call_p_0 f {\"x\":1}"#]);
    }

    #[test]
    fn whole_calls_with_the_same_id_stay_two() {
        check(
            r#"[{"id":"a","function":{"name":"f","arguments":"1"}},{"id":"a","function":{"name":"g","arguments":"2"}}]"#,
            true,
            &["0 a f 1", "1 a g 2"],
        );
    }

    #[test]
    fn the_number_of_calls_is_bounded() {
        let mut calls = Calls::default();
        let taken =
            (0..=MAX_CALLS).map(|_| calls.take(RawCall::default(), true, "p").map(|call| call.number));
        assert_eq!(taken.last(), Some(Err(Fault::Malformed)));
    }
}
