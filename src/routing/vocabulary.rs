//! The words that give a task away, in several languages.

use crate::catalog::Task::{self, *};

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sense {
    /// It speaks for a task, this much.
    Means(Task, f32),
    /// The work is hard.
    Hard,
    /// The work is meant to be simple.
    Easy,
    /// It opens a question.
    Asks,
}

use Sense::{Asks, Easy, Hard, Means};

/// Words in lower case, sorted by bytes; `*` at the end means any ending. Languages that write capital
/// letters outside ASCII have both spellings.
#[rustfmt::skip]
pub(super) const WORDS: &[(&str, Sense)] = &[
    ("act", Means(Chat, 1.1)), ("advertisement", Means(Writing, 1.2)), ("algorithm*", Hard),
    ("algorithm*", Means(Code, 0.8)), ("api", Means(Code, 0.7)), ("article", Means(Reading, 0.5)),
    ("average", Means(Math, 0.3)), ("bash", Means(Code, 1.0)), ("berechne*", Means(Math, 1.4)),
    ("best", Means(Brainstorming, 0.3)), ("blog", Means(Writing, 1.0)),
    ("brainstorm*", Means(Brainstorming, 2.5)), ("brief*", Easy), ("briefly", Means(Summarization, 0.2)),
    ("bug", Means(Code, 1.0)), ("bullet", Means(Summarization, 0.5)), ("calcul*", Means(Math, 1.2)),
    ("can", Asks), ("caption", Means(Writing, 1.0)), ("categor*", Means(Classification, 1.2)),
    ("chinese", Means(Translation, 0.7)), ("classify*", Means(Classification, 2.0)),
    ("code", Means(Code, 1.0)), ("combien", Means(Math, 0.5)), ("compile*", Means(Code, 0.8)),
    ("complexity", Hard), ("compose", Means(Writing, 1.4)), ("compute", Means(Math, 1.0)),
    ("conclude", Means(Reasoning, 0.7)), ("conclusion", Means(Reasoning, 0.7)), ("concurren*", Hard),
    ("condense", Means(Summarization, 1.8)), ("convert", Means(Rewriting, 0.3)),
    ("correct*", Means(Rewriting, 0.4)), ("create", Means(Writing, 0.4)), ("css", Means(Code, 1.2)),
    ("cuantos", Means(Math, 0.5)), ("czech", Means(Translation, 0.7)), ("deadlock", Hard),
    ("debug*", Means(Code, 1.6)), ("deduce", Means(Reasoning, 1.2)), ("derive", Hard),
    ("derive", Means(Math, 0.8)), ("describe", Asks), ("describe", Means(Writing, 0.5)), ("design", Hard),
    ("distributed", Hard), ("docker*", Means(Code, 0.8)), ("draft", Means(Writing, 1.2)),
    ("each", Means(Math, 0.3)), ("email", Means(Writing, 0.9)), ("english", Means(Translation, 0.7)),
    ("entities", Means(Extraction, 1.2)), ("equation*", Means(Math, 1.2)), ("erkläre", Asks),
    ("escrib*", Means(Writing, 1.2)), ("essay", Means(Writing, 1.4)), ("examples", Means(Brainstorming, 0.7)),
    ("explain", Asks), ("extract*", Means(Extraction, 2.0)), ("fasse", Means(Summarization, 2.0)),
    ("following", Means(Classification, 0.4)), ("french", Means(Translation, 0.7)),
    ("function", Means(Code, 1.0)), ("german", Means(Translation, 0.7)), ("gist", Means(Summarization, 1.8)),
    ("give", Means(Brainstorming, 0.4)), ("grammar", Means(Rewriting, 1.2)), ("haiku", Means(Writing, 1.6)),
    ("headline", Means(Summarization, 0.6)), ("hello", Means(Chat, 0.8)), ("hey", Means(Chat, 0.8)),
    ("hi", Means(Chat, 1.0)), ("highlights", Means(Summarization, 1.2)), ("how", Asks),
    ("html", Means(Code, 1.2)), ("ideas", Means(Brainstorming, 1.6)),
    ("identify", Means(Classification, 0.9)), ("integral*", Hard), ("integral*", Means(Math, 1.4)),
    ("intent", Means(Classification, 0.8)), ("invariant", Hard), ("italian", Means(Translation, 0.7)),
    ("japanese", Means(Translation, 0.7)), ("java", Means(Code, 1.4)), ("javascript", Means(Code, 1.5)),
    ("joke", Means(Writing, 0.8)), ("json", Means(Extraction, 0.6)), ("key", Means(Summarization, 0.4)),
    ("korean", Means(Translation, 0.7)), ("kotlin", Means(Code, 1.5)), ("kubernetes", Means(Code, 0.8)),
    ("label*", Means(Classification, 1.0)), ("lemma", Hard), ("letter", Means(Writing, 1.0)),
    ("list", Means(Brainstorming, 0.9)), ("logic*", Means(Reasoning, 0.9)),
    ("main", Means(Summarization, 0.7)), ("many", Means(Math, 0.5)), ("matrix", Means(Math, 0.9)),
    ("modulo", Means(Math, 0.9)), ("much", Means(Math, 0.4)), ("multiply", Means(Math, 0.9)),
    ("name", Means(Brainstorming, 0.4)), ("negative", Means(Classification, 0.5)), ("optimi*", Hard),
    ("paragraph", Means(Reading, 0.4)), ("paraphrase*", Means(Rewriting, 2.4)),
    ("passage", Means(Reading, 1.2)), ("percent*", Means(Math, 0.4)), ("php", Means(Code, 1.4)),
    ("pirate", Means(Chat, 0.8)), ("plot", Means(Writing, 0.4)), ("poem*", Means(Writing, 1.6)),
    ("points", Means(Summarization, 0.8)), ("portuguese", Means(Translation, 0.7)),
    ("positive", Means(Classification, 0.4)), ("premise*", Means(Reasoning, 1.0)),
    ("pretend", Means(Chat, 1.6)), ("probability", Means(Math, 1.0)), ("proof", Hard),
    ("proof", Means(Math, 1.0)), ("proofread", Means(Rewriting, 2.2)), ("prove", Hard),
    ("prove", Means(Math, 1.2)), ("puzzle", Means(Reasoning, 1.6)), ("python", Means(Code, 1.4)),
    ("que", Asks), ("quick*", Easy), ("ratio", Means(Math, 0.4)), ("react", Means(Code, 0.8)),
    ("refactor*", Hard), ("refactor*", Means(Code, 2.0)), ("regex", Means(Code, 1.4)),
    ("rephrase*", Means(Rewriting, 2.4)), ("resum*", Means(Summarization, 1.4)),
    ("reword", Means(Rewriting, 2.4)), ("rewrite", Means(Rewriting, 2.2)), ("riddle", Means(Reasoning, 1.6)),
    ("role", Means(Chat, 0.6)), ("roleplay", Means(Chat, 2.0)), ("russian", Means(Translation, 0.7)),
    ("rust", Means(Code, 1.2)), ("résume*", Means(Summarization, 2.0)), ("schreib*", Means(Writing, 1.2)),
    ("script", Means(Code, 0.7)), ("sentences", Means(Summarization, 0.4)),
    ("sentiment", Means(Classification, 2.0)), ("shell", Means(Code, 0.8)),
    ("shorten", Means(Summarization, 1.8)), ("shorter", Means(Summarization, 1.0)),
    ("simplif*", Means(Rewriting, 0.8)), ("slogan", Means(Writing, 1.6)), ("solve", Means(Math, 1.0)),
    ("some", Means(Brainstorming, 0.4)), ("spam", Means(Classification, 1.2)),
    ("spanish", Means(Translation, 0.7)), ("speech", Means(Writing, 1.0)), ("sql", Means(Code, 1.6)),
    ("stanza", Means(Writing, 1.2)), ("story", Means(Writing, 1.4)), ("suggest*", Means(Brainstorming, 1.2)),
    ("sum", Means(Math, 0.6)), ("summar*", Means(Summarization, 2.4)), ("swift", Means(Code, 0.8)),
    ("synonym*", Means(Rewriting, 0.8)), ("theorem", Hard), ("theorem", Means(Math, 1.4)), ("thread*", Hard),
    ("tl", Means(Summarization, 1.0)), ("top", Means(Brainstorming, 0.4)),
    ("topic", Means(Classification, 0.4)), ("total", Means(Math, 0.4)), ("traceback", Means(Code, 1.6)),
    ("traduc*", Means(Translation, 2.6)), ("traduis*", Means(Translation, 2.6)),
    ("traduzi*", Means(Translation, 2.6)), ("translat*", Means(Translation, 2.6)),
    ("tweet", Means(Writing, 0.7)), ("typescript", Means(Code, 1.5)), ("unit", Means(Code, 0.3)),
    ("what", Asks), ("when", Asks), ("where", Asks), ("whether", Means(Classification, 0.5)), ("which", Asks),
    ("which", Means(Classification, 0.3)), ("who", Asks), ("why", Asks), ("write", Means(Writing, 0.7)),
    ("yes", Means(Chat, 0.4)), ("zusammen*", Means(Summarization, 1.0)),
    ("Übersetz*", Means(Translation, 2.6)), ("écri*", Means(Writing, 1.2)),
    ("übersetz*", Means(Translation, 2.6)), ("Докажи*", Hard), ("Докажи*", Means(Math, 1.4)),
    ("Кратко", Easy), ("Напиши*", Means(Writing, 0.7)), ("Перев*", Means(Translation, 2.2)),
    ("Перефраз*", Means(Rewriting, 2.4)), ("Реши*", Means(Math, 1.2)), ("докажи*", Hard),
    ("докажи*", Means(Math, 1.4)), ("извлек*", Means(Extraction, 2.0)), ("код", Means(Code, 1.0)),
    ("кратко", Means(Summarization, 0.8)), ("напиши*", Means(Writing, 0.7)),
    ("перевед*", Means(Translation, 2.4)), ("перефраз*", Means(Rewriting, 2.4)),
    ("подытож*", Means(Summarization, 2.4)), ("реши*", Means(Math, 1.2)), ("уравнени*", Means(Math, 1.4)),
    ("функци*", Means(Code, 1.0)),
];

/// Phrases of languages that do not separate words.
#[rustfmt::skip]
pub(super) const CJK: &[(&str, Sense)] = &[
    ("翻译", Means(Translation, 2.0)), ("翻譯", Means(Translation, 2.0)), ("翻訳", Means(Translation, 2.0)),
    ("번역", Means(Translation, 2.0)), ("总结", Means(Summarization, 1.6)), ("概括", Means(Summarization, 1.6)),
    ("摘要", Means(Summarization, 1.4)), ("要約", Means(Summarization, 1.6)), ("요약", Means(Summarization, 1.6)),
    ("提取", Means(Extraction, 1.6)), ("抽取", Means(Extraction, 1.6)), ("抽出", Means(Extraction, 1.4)),
    ("分类", Means(Classification, 1.4)), ("分類", Means(Classification, 1.4)), ("改写", Means(Rewriting, 1.6)),
    ("润色", Means(Rewriting, 1.6)), ("改為", Means(Rewriting, 0.8)), ("重写", Means(Rewriting, 1.4)),
    ("书き直", Means(Rewriting, 1.6)), ("写一", Means(Writing, 0.9)), ("故事", Means(Writing, 0.9)),
    ("诗", Means(Writing, 0.9)), ("文章", Means(Writing, 0.4)), ("列举", Means(Brainstorming, 1.2)),
    ("列出", Means(Brainstorming, 0.9)), ("建议", Means(Brainstorming, 0.7)), ("代码", Means(Code, 1.4)),
    ("函数", Means(Code, 1.2)), ("编写", Means(Code, 0.6)), ("程序", Means(Code, 1.0)), ("コード", Means(Code, 1.4)),
    ("関数", Means(Code, 1.2)), ("코드", Means(Code, 1.4)), ("计算", Means(Math, 1.2)), ("求解", Means(Math, 1.2)),
    ("方程", Means(Math, 1.2)), ("多少", Means(Math, 0.7)), ("証明", Hard), ("证明", Hard), ("证明", Means(Math, 1.0)),
    ("推理", Means(Reasoning, 1.0)), ("扮演", Means(Chat, 1.6)), ("你好", Means(Chat, 0.8)), ("什么", Asks),
    ("如何", Asks), ("为什么", Asks), ("何", Asks), ("무엇", Asks),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_one_first_byte_stand_together_in_order() {
        let firsts: Vec<u8> = WORDS.iter().map(|(word, _)| word.as_bytes()[0]).collect();
        assert!(firsts.is_sorted(), "the lookup searches by first byte");
    }

    #[test]
    fn words_are_whole_and_in_lower_case() {
        for (word, _) in WORDS {
            let stem = word.trim_end_matches('*');
            let shortest = if stem.len() < word.len() { 2 } else { 1 };
            assert!(stem.len() >= shortest && !stem.contains(['*', ' ']), "{word}");
            assert!(!stem.bytes().any(|b| b.is_ascii_uppercase()), "{word}");
        }
    }
}
