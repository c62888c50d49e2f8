//! What seats a schedule has. Set when the schedule is made, and never changed after.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::render::Pieces;
use crate::ids::SeatId;
use crate::money::Won;

/// A seat of a schedule.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its id.
    pub id: SeatId,
    /// The part of the hall.
    pub section: String,
    /// The row within it.
    pub row: String,
    /// Its number, as printed on the ticket.
    pub number: i32,
    /// Its price.
    pub price: Won,
}

/// All seats of a schedule, in order of position.
#[derive(Debug)]
pub struct Plan {
    seats: Vec<Seat>,
    positions: HashMap<SeatId, u32>,
    by_number: Vec<u32>,
    rows: String,
    list_pieces: OnceLock<Pieces>,
    map_pieces: OnceLock<Pieces>,
}

impl Seat {
    /// Whether the seat at the next position is next to it in the hall.
    fn is_beside(&self, next: &Self) -> bool {
        self.number.abs_diff(next.number) == 1 && self.row == next.row && self.section == next.section
    }
}

impl Plan {
    /// `seats` in order of position, from 0 without gaps.
    #[must_use]
    pub fn new(seats: Vec<Seat>) -> Self {
        let positions: HashMap<_, _> = seats.iter().zip(0..).map(|(seat, position)| (seat.id, position)).collect();
        let mut numbered: Vec<(i32, u32)> = seats.iter().zip(0..).map(|(seat, at)| (seat.number, at)).collect();
        numbered.sort_unstable();
        let by_number = numbered.into_iter().map(|(_, position)| position).collect();
        let lengths = seats.chunk_by(Seat::is_beside).map(|row| row.len().to_string());
        let rows = lengths.collect::<Vec<_>>().join(" ");
        let (list_pieces, map_pieces) = (OnceLock::new(), OnceLock::new());
        Self { seats, positions, by_number, rows, list_pieces, map_pieces }
    }

    /// How many seats side by side each row has, in order of position, as the scripts take it: `10 10`.
    #[must_use]
    pub fn rows(&self) -> &str {
        &self.rows
    }

    /// The position of a seat in the seat map.
    #[must_use]
    pub fn position(&self, seat: SeatId) -> Option<u32> {
        self.positions.get(&seat).copied()
    }

    /// Every seat with its position, by number.
    pub fn by_number(&self) -> impl Iterator<Item = (u32, &Seat)> {
        self.by_number.iter().filter_map(|position| Some((*position, self.at(*position)?)))
    }

    /// The seat at a position.
    #[must_use]
    pub fn at(&self, position: u32) -> Option<&Seat> {
        self.seats.get(usize::try_from(position).ok()?)
    }

    /// What the list of free seats is put together from.
    pub(super) fn list_pieces(&self) -> &Pieces {
        self.list_pieces.get_or_init(|| Pieces::of_list(self))
    }

    /// What the map is put together from.
    pub(super) fn map_pieces(&self) -> &Pieces {
        self.map_pieces.get_or_init(|| Pieces::of_map(self))
    }

    /// The states of a map in which nothing is sold.
    #[must_use]
    pub fn all_free(&self) -> Vec<u8> {
        vec![b'F'; self.seats.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(id: i64, section: &str, row: &str, number: i32) -> Seat {
        let id = id.try_into().unwrap_or_else(|_| unreachable!());
        Seat { id, section: section.to_owned(), row: row.to_owned(), number, price: Won(1) }
    }

    #[test]
    fn a_row_ends_with_its_name_its_section_and_at_a_gap() {
        let seats = [("R", "A", 1), ("R", "A", 2), ("R", "B", 3), ("S", "B", 4), ("S", "B", 6), ("S", "B", 5)];
        let seats = seats.into_iter().zip(1..).map(|((section, row, number), id)| seat(id, section, row, number));
        assert_eq!(Plan::new(seats.collect()).rows(), "2 1 1 2");
        assert_eq!(Plan::new(Vec::new()).rows(), "");
    }

    #[test]
    fn seats_come_by_number_whatever_their_position() {
        let seat = |id, number| seat(id, "R", "A", number);
        let plan = Plan::new(vec![seat(7, 30), seat(8, 10), seat(9, 20)]);
        assert_eq!(plan.all_free(), b"FFF");
        assert_eq!(
            plan.by_number().map(|(at, seat)| (at, seat.number)).collect::<Vec<_>>(),
            [(1, 10), (2, 20), (0, 30)]
        );
        assert_eq!("9".parse().ok().and_then(|id| plan.position(id)), Some(2));
    }
}
