//! The answers about a schedule's seats. A plan never changes, so the text of each of its seats is made once, and rendering
//! an answer is little more than copying: a run of free seats at a time.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::plan::{Plan, Seat};
use crate::http::{Rendered, success_around};
use crate::ids::{ScheduleId, SeatId};
use crate::money::Won;

/// A text of each seat, by number.
#[derive(Debug)]
pub(super) struct Pieces {
    text: Vec<u8>,
    /// Where each seat's ends.
    ends: Vec<usize>,
    /// Of the text.
    hash: blake3::Hash,
}

/// The free seats of a schedule.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described: the answer is put together from pieces")]
pub(super) struct FreeSeatsView {
    /// By number.
    seats: Vec<FreeSeatView>,
}

/// All seats of a schedule.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "likewise")]
pub(super) struct SeatMapView {
    concert_schedule_id: ScheduleId,
    /// By number.
    seats: Vec<SeatOnMapView>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "likewise")]
struct SeatOnMapView {
    #[schemars(flatten)]
    seat: MapSeatView<'static>,
    /// `HELD` while somebody may pay for it.
    #[schemars(extend("enum" = ["FREE", "HELD", "SOLD"]), example = &"FREE")]
    status: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FreeSeatView {
    concert_seat_id: SeatId,
    /// The number on the seat.
    #[schemars(example = 11)]
    seat_number: i32,
}

/// All of a seat but its status, which comes last.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MapSeatView<'a> {
    concert_seat_id: SeatId,
    /// The part of the hall.
    #[schemars(example = &"R")]
    section: &'a str,
    /// The row in it.
    #[schemars(example = &"A")]
    row: &'a str,
    /// The number on the seat.
    #[schemars(example = 11)]
    seat_number: i32,
    price: Won,
}

/// A seat's state, in the contract's words.
pub(super) fn status(state: Option<u8>) -> &'static str {
    match state {
        Some(b'F') => "FREE",
        Some(b'S') => "SOLD",
        _ => "HELD",
    }
}

impl Pieces {
    fn new(plan: &Plan, piece: impl Fn(&Seat) -> String) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for (_, seat) in plan.by_number() {
            text.extend_from_slice(piece(seat).as_bytes());
            ends.push(text.len());
        }
        let hash = blake3::hash(&text);
        Self { text, ends, hash }
    }

    /// As the list of free seats has them, each with a comma.
    pub(super) fn of_list(plan: &Plan) -> Self {
        let view = |seat: &Seat| FreeSeatView { concert_seat_id: seat.id, seat_number: seat.number };
        Self::new(plan, |seat| json(&view(seat)) + ",")
    }

    /// As the map has them, up to the status.
    pub(super) fn of_map(plan: &Plan) -> Self {
        Self::new(plan, |seat| {
            let Seat { id, section, row, number, price } = seat;
            let view = MapSeatView { concert_seat_id: *id, section, row, seat_number: *number, price: *price };
            let mut piece = json(&view);
            piece.pop();
            piece + r#","status":""#
        })
    }

    /// Where a seat's text begins.
    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default()
    }

    /// The texts of the seats from one up to another.
    fn run(&self, from: usize, to: usize) -> &[u8] {
        self.text.get(self.begin(from)..self.begin(to)).unwrap_or_default()
    }

    /// A tag that differs whenever the seats do, or what is said of them.
    fn tag(&self, said: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.hash.as_bytes()).update(said);
        hasher.finalize().to_hex().as_str()[..32].to_owned()
    }
}

fn json(view: &impl Serialize) -> String {
    // Numbers and strings always serialize.
    serde_json::to_string(view).unwrap_or_default()
}

fn state_at(states: &[u8], position: u32) -> Option<u8> {
    usize::try_from(position).ok().and_then(|at| states.get(at)).copied()
}

/// The answer of `GET …/seats`, where `states` has a byte for each position, and how many are free.
#[must_use]
pub fn render_free(plan: &Plan, states: &[u8]) -> (usize, Rendered) {
    let pieces = plan.list_pieces();
    let (mut free, mut first) = (0, None);
    let body = success_around(pieces.text.len(), |data| {
        data.extend_from_slice(br#"{"seats":["#);
        let mut end = 0;
        for (at, (position, _)) in plan.by_number().enumerate() {
            end = at + 1;
            if state_at(states, position) == Some(b'F') {
                free += 1;
                first.get_or_insert(at);
            } else if let Some(first) = first.take() {
                data.extend_from_slice(pieces.run(first, at));
            }
        }
        if let Some(first) = first {
            data.extend_from_slice(pieces.run(first, end));
        }
        data.pop_if(|last| *last == b',');
        data.extend_from_slice(b"]}");
    });
    let said: Vec<u8> = states.iter().map(|state| u8::from(*state == b'F')).collect();
    (free, Rendered::new(body, &pieces.tag(&said)))
}

/// The answer of `GET …/seat-map`, likewise.
#[must_use]
pub fn render_map(plan: &Plan, schedule: ScheduleId, states: &[u8]) -> Rendered {
    let pieces = plan.map_pieces();
    let body: Bytes = success_around(pieces.text.len() + 8 * states.len(), |data| {
        data.extend_from_slice(format!(r#"{{"concertScheduleId":{schedule},"seats":["#).as_bytes());
        for (at, (position, _)) in plan.by_number().enumerate() {
            data.extend_from_slice(pieces.run(at, at + 1));
            data.extend_from_slice(status(state_at(states, position)).as_bytes());
            data.extend_from_slice(b"\"},");
        }
        data.pop_if(|last| *last == b',');
        data.extend_from_slice(b"]}");
    });
    let said: Vec<u8> = states.iter().map(|state| status(Some(*state)).as_bytes()[0]).collect();
    Rendered::new(body, &pieces.tag(&said))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn plan(numbers: &[i32]) -> Plan {
        let seats = numbers.iter().zip(1..).map(|(number, id): (&i32, i64)| Seat {
            id: id.try_into().unwrap(),
            section: "R \"1\"\\".to_owned(),
            row: "é".to_owned(),
            number: *number,
            price: Won(id * 7),
        });
        Plan::new(seats.collect())
    }

    proptest! {
        #[test]
        fn what_is_put_together_from_pieces_is_the_answer(
            (numbers, states) in (0_usize..40).prop_flat_map(|seats| (
                proptest::collection::vec(1..99_i32, seats),
                proptest::collection::vec(proptest::sample::select(b"FHPS".to_vec()), seats),
            )),
        ) {
            let plan = plan(&numbers);
            let state = |position: u32| states[position as usize];
            let free = plan.by_number().filter(|(at, _)| state(*at) == b'F');
            let free: Vec<Value> =
                free.map(|(_, seat)| json!({"concertSeatId": seat.id, "seatNumber": seat.number})).collect();
            let (count, list) = render_free(&plan, &states);
            prop_assert_eq!(count, free.len());
            let is = |rendered: &Rendered| serde_json::from_slice::<Value>(rendered.body()).unwrap();
            prop_assert_eq!(is(&list), json!({"result": "SUCCESS", "data": {"seats": free}, "error": null}));
            let all = plan.by_number().map(|(at, seat)| json!({
                "concertSeatId": seat.id, "section": seat.section, "row": seat.row, "seatNumber": seat.number,
                "price": seat.price, "status": status(Some(state(at))),
            }));
            let all: Vec<Value> = all.collect();
            let map = render_map(&plan, 3.try_into().unwrap(), &states);
            let expected = json!({"result": "SUCCESS", "data": {"concertScheduleId": 3, "seats": all}, "error": null});
            prop_assert_eq!(is(&map), expected);
        }
    }

    #[test]
    fn tags_differ_where_answers_do() {
        let tag = |numbers: &[i32], states: &[u8]| plan(numbers).list_pieces().tag(states);
        assert_eq!(tag(&[1, 2], b"\x01\x00"), tag(&[1, 2], b"\x01\x00"));
        assert_ne!(tag(&[1, 2], b"\x01\x00"), tag(&[1, 2], b"\x00\x01"));
        assert_ne!(tag(&[1, 2], b"\x01\x00"), tag(&[1, 3], b"\x01\x00"));
    }
}
