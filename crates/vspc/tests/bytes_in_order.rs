//! Not a byte lost, doubled or reordered, however the wires split and interleave, moves included.
//!
//! A list of small steps drives a concentrator, a machine that moves between hosts, and a client. Each connection is
//! two queues of bytes and an end that comes after them; a step carries a few bytes of one of them, or lets one of the
//! three write, move, give a move up. At the end all is carried and both streams must have arrived as they were written.

mod common;

use std::{collections::VecDeque, time::Duration};

use common::{key, machine, random};
use esx_vspc::{
    ClientEvent, ClientId, Concentrator, Config, ConnectionId, Machine, MachineEvent, Mode, Output,
    message::Secret,
};
use proptest::prelude::*;

const NOW: Duration = Duration::ZERO;
const URI: &str = "virtesx";

/// The bytes of a stream: one in four is FF, and the telnet words come often.
fn byte(position: u64) -> u8 {
    let mixed = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    match mixed % 8 {
        0 | 1 => 0xff,
        2 => [0xf0, 0xfa, 0xfb, 0xfd, 0xe8, 0, 13, 17][(mixed >> 8) as usize % 8],
        _ => (mixed >> 16) as u8,
    }
}

#[derive(Default)]
struct Stream {
    written: u64,
    read: u64,
}

impl Stream {
    fn next(&self, n: usize) -> Vec<u8> {
        (self.written..).take(n).map(byte).collect()
    }

    fn check(&mut self, data: &[u8]) -> Result<(), TestCaseError> {
        for &got in data {
            prop_assert!(self.read < self.written, "more than was written");
            prop_assert_eq!(got, byte(self.read), "at {}", self.read);
            self.read += 1;
        }
        Ok(())
    }
}

struct Wire {
    id: ConnectionId,
    machine: Machine,
    to_table: VecDeque<u8>,
    to_machine: VecDeque<u8>,
    /// The machine's end closed: an end comes behind what is under way.
    ended: bool,
    /// The table closed.
    dropped: bool,
}

#[derive(Debug)]
enum Move {
    None,
    /// BEGIN went out.
    Begun,
    /// The go-ahead came; the target is the last wire.
    Arriving,
}

struct World {
    table: Concentrator,
    wires: Vec<Wire>,
    /// The wire at which the guest lives, whether it runs or is stopped for a move.
    home: usize,
    moving: Move,
    moves: u8,
    done: u32,
    client: Option<ClientId>,
    out: Stream,
    input: Stream,
}

fn take(queue: &mut VecDeque<u8>, n: usize) -> Vec<u8> {
    queue.drain(..n.min(queue.len())).collect()
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            table: Concentrator::new(Config::default(), random()),
            wires: Vec::new(),
            home: 0,
            moving: Move::None,
            moves: 0,
            done: 0,
            client: None,
            out: Stream::default(),
            input: Stream::default(),
        };
        world.connect(Machine::dial(machine(URI)));
        world
    }

    fn connect(&mut self, machine: Machine) {
        let id = self.table.accepted(NOW, [192, 0, 2, 1].into(), false).unwrap();
        self.wires.push(Wire {
            id,
            machine,
            to_table: VecDeque::new(),
            to_machine: VecDeque::new(),
            ended: false,
            dropped: false,
        });
    }

    fn step(&mut self, what: u8, which: u8, n: usize) -> Result<(), TestCaseError> {
        // Old wires have little left to say.
        let last = self.wires.len() - 1;
        let at = match which % 8 {
            0..=2 => self.home,
            3..=5 => last,
            6 => last.saturating_sub(1),
            _ => usize::from(which) % self.wires.len(),
        };
        match what {
            0 => self.carry_to_table(at, n),
            1 => self.carry_to_machine(at, n)?,
            2 => {
                let bytes = self.wires[at].machine.take_output();
                self.wires[at].to_table.extend(bytes);
            }
            3 => {
                let id = self.wires[at].id;
                let bytes = self.table.take_output(id, n);
                self.wires[at].to_machine.extend(bytes);
            }
            // Less than the wires carry, or all would be queues.
            4 => self.guest_writes(n.div_ceil(8)),
            5 => self.client_writes(n.div_ceil(8)),
            6 => self.client_reads()?,
            _ => self.move_on(which, n),
        }
        self.outputs()
    }

    fn carry_to_table(&mut self, at: usize, n: usize) {
        let wire = &mut self.wires[at];
        let bytes = take(&mut wire.to_table, n);
        if !bytes.is_empty() {
            self.table.received(NOW, wire.id, &bytes);
        } else if wire.ended && wire.machine.take_output().is_empty() {
            self.table.closed(NOW, wire.id);
        }
    }

    fn carry_to_machine(&mut self, at: usize, n: usize) -> Result<(), TestCaseError> {
        let wire = &mut self.wires[at];
        let bytes = take(&mut wire.to_machine, n);
        if wire.ended {
            return Ok(());
        }
        wire.machine.receive(&bytes).unwrap();
        if wire.dropped && wire.to_machine.is_empty() {
            wire.ended = true;
        }
        while let Some(event) = self.wires[at].machine.next_event() {
            self.learnt(at, event)?;
        }
        Ok(())
    }

    fn learnt(&mut self, at: usize, event: MachineEvent) -> Result<(), TestCaseError> {
        match event {
            MachineEvent::Data(data) => {
                let by_target = matches!(self.moving, Move::Arriving) && at != self.home;
                prop_assert!(at == self.home && !by_target, "data for a guest that is not there");
                self.input.check(&data)?;
            }
            MachineEvent::GoAhead(secret) => {
                // It may come for a move that was given up meanwhile.
                let ours = secret.0.first() == Some(&self.moves);
                if matches!(self.moving, Move::Begun) && at == self.home && ours {
                    self.arrive(secret);
                }
            }
            MachineEvent::PeerOk if at + 1 == self.wires.len() => self.complete(at),
            MachineEvent::Unknown(_) | MachineEvent::Refused | MachineEvent::NotNow => {
                prop_assert!(at != self.home, "the proxy refused: {event:?}");
            }
            _ => {}
        }
        Ok(())
    }

    fn arrive(&mut self, secret: Secret) {
        self.moving = Move::Arriving;
        self.connect(Machine::arrive(machine(URI), vec![self.moves], secret));
    }

    fn complete(&mut self, target: usize) {
        if !matches!(self.moving, Move::Arriving) {
            return;
        }
        // The source's end and the target's word travel on wires of their own: either may come first.
        let source = &mut self.wires[self.home];
        let rest = source.machine.take_output();
        source.to_table.extend(rest);
        source.ended = true;
        self.wires[target].machine.complete();
        self.home = target;
        self.moving = Move::None;
        self.done += 1;
    }

    fn move_on(&mut self, which: u8, n: usize) {
        let last = self.wires.len() - 1;
        match self.moving {
            Move::None if self.wires[self.home].machine.is_serving() => {
                self.moves = self.moves.wrapping_add(1);
                self.moving = Move::Begun;
                self.wires[self.home].machine.begin(&[self.moves]);
            }
            // Mostly a move is let go on; now and then the host gives it up, with the word or by running on.
            Move::Begun | Move::Arriving if which.is_multiple_of(64) => {
                if matches!(self.moving, Move::Arriving) {
                    self.wires[last].ended = true;
                    self.wires[last].to_table.clear();
                }
                if n.is_multiple_of(2) {
                    self.wires[self.home].machine.abort();
                }
                self.moving = Move::None;
            }
            _ => {}
        }
    }

    fn guest_writes(&mut self, n: usize) {
        if matches!(self.moving, Move::None) {
            self.wires[self.home].machine.write(&self.out.next(n));
            self.out.written += n as u64;
        }
    }

    fn client_writes(&mut self, n: usize) {
        if let Some(client) = self.client {
            let data = self.input.next(n);
            self.input.written += n as u64; // before the guest can read it
            let taken = self.table.client_data(client, &data);
            self.input.written -= (n - taken) as u64;
        }
    }

    fn client_reads(&mut self) -> Result<(), TestCaseError> {
        if self.client.is_none() {
            self.client = self.table.attach(&key("0"), Mode::Shared).ok();
        }
        for event in self.client.map(|id| self.table.take_events(id)).unwrap_or_default() {
            if let ClientEvent::Data(data) = event {
                self.out.check(&data)?;
            }
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<(), TestCaseError> {
        while let Some(output) = self.table.next_output() {
            match output {
                Output::Close(id) => {
                    let wire = self.wires.iter_mut().find(|wire| wire.id == id).unwrap();
                    wire.to_machine.extend(self.table.take_output(id, usize::MAX));
                    wire.dropped = true;
                }
                Output::Detach(..) => prop_assert!(false, "the client was let go"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Carries all there is, everywhere.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..20 {
            for at in 0..self.wires.len() {
                for what in [2, 0, 3, 1] {
                    self.whole(what, at)?;
                }
            }
            self.client_reads()?;
        }
        Ok(())
    }

    fn whole(&mut self, what: u8, at: usize) -> Result<(), TestCaseError> {
        let all = usize::MAX;
        match what {
            0 => self.carry_to_table(at, all),
            1 => self.carry_to_machine(at, all)?,
            2 => {
                let bytes = self.wires[at].machine.take_output();
                self.wires[at].to_table.extend(bytes);
            }
            _ => {
                let id = self.wires[at].id;
                let bytes = self.table.take_output(id, all);
                self.wires[at].to_machine.extend(bytes);
            }
        }
        self.outputs()
    }
}

fn run(steps: Vec<(u8, u8, usize)>) -> Result<u32, TestCaseError> {
    let mut world = World::new();
    for (what, which, n) in steps {
        world.step(what, which, n)?;
    }
    world.settle()?;
    // A host that gave a move up without a word shows by data that the machine runs.
    if !matches!(world.moving, Move::None) {
        world.wires[world.home].machine.abort();
        world.moving = Move::None;
    }
    world.guest_writes(1);
    world.settle()?;
    prop_assert_eq!(world.out.read, world.out.written, "output of the guest was lost");
    prop_assert_eq!(world.input.read, world.input.written, "input of the guest was lost");
    Ok(world.done)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_small_pieces(steps in prop::collection::vec((0..8_u8, any::<u8>(), 1..24_usize), 0..4000)) {
        run(steps)?;
    }

    #[test]
    fn in_large_pieces(steps in prop::collection::vec((0..8_u8, any::<u8>(), 1..400_usize), 0..4000)) {
        run(steps)?;
    }
}

/// The property would hold of a world in which nothing happens: it does not.
#[test]
fn machines_do_move_in_it() {
    let mut state = 7_u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) % n
    };
    let steps =
        (0..40_000).map(|_| (next(8) as u8, next(256) as u8, next(60) as usize + 1)).collect();
    let moves = run(steps).unwrap();
    assert!(moves > 50, "{moves} moves");
}
