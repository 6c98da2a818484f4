use super::*;

const MINUTE: u64 = 60_000;
const T: u64 = 1_787_400_000_000;

fn sessions() -> Sessions {
    Sessions::new(10 * MINUTE)
}

#[test]
fn a_conversation_is_remembered_until_it_has_been_silent_for_ten_minutes() {
    let sessions = sessions();
    assert_eq!(sessions.recall(1, T), None);
    sessions.remember(1, 7, T);
    assert_eq!(sessions.recall(1, T + 10 * MINUTE - 1), Some(7));
    assert_eq!(sessions.recall(1, T + 10 * MINUTE), None);
    assert_eq!(sessions.recall(2, T), None, "another one");
}

#[test]
fn every_answer_starts_its_time_anew() {
    let sessions = sessions();
    sessions.remember(1, 7, T);
    sessions.remember(1, 8, T + 9 * MINUTE);
    assert_eq!(sessions.recall(1, T + 18 * MINUTE), Some(8));
}

#[test]
fn where_there_is_no_room_the_longest_silent_gives_way() {
    let sessions = sessions();
    let rivals: Vec<u64> = (0..5).map(|i| 3 + i * PLACES as u64).collect();
    for (i, key) in rivals.iter().enumerate() {
        sessions.remember(*key, 100 + i as u64, T + i as u64);
        if i == 3 {
            sessions.remember(rivals[0], 100, T + 10);
        }
    }
    let recalled: Vec<_> = rivals.iter().map(|key| sessions.recall(*key, T + 20)).collect();
    assert_eq!(recalled, [Some(100), None, Some(102), Some(103), Some(104)]);
}

#[test]
fn what_is_written_down_comes_back_and_nothing_later_is_lost() {
    let before = sessions();
    before.remember(1, 7, T);
    before.remember(2, 8, T + 1);
    before.remember(3, 9, T - 11 * MINUTE);
    let text = serde_json::to_string(&before.kept(T + 1)).expect("rows");
    let rows: Vec<Kept> = serde_json::from_str(&text).expect("the same rows");
    assert_eq!(rows, [Kept(2, 8, T + 1), Kept(1, 7, T)], "the latest first, without what is over");
    let after = sessions();
    after.remember(1, 6, T + 5);
    after.restore(&rows, T + 9);
    assert_eq!([1, 2, 3].map(|key| after.recall(key, T + 9)), [Some(6), Some(8), None]);
}

#[test]
fn a_time_to_come_is_taken_for_now() {
    let sessions = sessions();
    sessions.restore(&[Kept(1, 7, T + 60 * MINUTE)], T);
    assert_eq!(sessions.recall(1, T + 9 * MINUTE), Some(7));
    assert_eq!(sessions.recall(1, T + 10 * MINUTE), None);
}

#[test]
fn no_more_is_written_down_than_there_is_room_for() {
    let sessions = sessions();
    (0..MOST_KEPT as u64 + 50).for_each(|key| sessions.remember(key, 7, T + key));
    let rows = sessions.kept(T + MOST_KEPT as u64);
    assert_eq!((rows.len(), rows[0].0), (MOST_KEPT, MOST_KEPT as u64 + 49));
}

#[test]
fn whoever_reads_while_others_write_gets_a_whole_row_or_none() {
    let sessions = sessions();
    std::thread::scope(|threads| {
        for writer in 0..2 {
            let sessions = &sessions;
            threads.spawn(move || {
                // Nine conversations for the four rows of a place; each has an endpoint of its own.
                for turn in 0..50_000_u64 {
                    let key = (turn + writer) % 9 * PLACES as u64;
                    sessions.remember(key, key + 1, T + turn);
                }
            });
        }
        for turn in 0..50_000_u64 {
            let key = turn % 9 * PLACES as u64;
            let endpoint = sessions.recall(key, T);
            assert!(endpoint.is_none_or(|endpoint| endpoint == key + 1), "{key} and {endpoint:?}");
        }
    });
}
