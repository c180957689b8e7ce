//! New inputs from known ones: flipped bits, numbers at their limits, parts of others.

/// The longest input. A block has 256 bytes, and more must be refused.
const LONGEST: usize = 340;

/// Numbers at which things change.
const LIMITS: [u64; 14] = [
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0xff,
    0x1000,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// Random numbers that a seed fixes (xorshift64*).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        // Seeds that differ little begin far apart; 0 would stay 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16).checked_rem(end as u64).unwrap_or(0) as usize
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

/// One of the inputs, changed in one to eight places.
pub(super) fn mutated(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.pick(inputs).cloned().unwrap_or_default();
    for _ in 0..=random.below(8) {
        change(&mut input, inputs, random);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, inputs: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(9) {
        0 | 1 => {
            let bit = random.below(8);
            input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
        }
        2 => {
            let value = random.next().to_le_bytes();
            input.iter_mut().skip(at).take(1).zip(value).for_each(|(byte, value)| *byte = value);
        }
        3 => overwrite(input, at, &limit(random)),
        4 => {
            let more: Vec<u8> = (0..=random.below(8)).map(|_| random.next().to_le_bytes()[7]).collect();
            input.splice(at..at, more);
        }
        5 => {
            let end = input.len().min(at + 1 + random.below(8));
            input.drain(at.min(end)..end);
        }
        6 => overwrite(input, at, &random.next().to_le_bytes()),
        _ => {
            let Some(other) = random.pick(inputs) else { return };
            let from = random.below(other.len());
            let length = 1 + random.below(other.len() - from.min(other.len()));
            let part: Vec<u8> = other.iter().skip(from).take(length).copied().collect();
            if random.below(2) == 0 {
                overwrite(input, at, &part);
            } else {
                input.splice(at..at, part);
            }
        }
    }
}

/// A number at a limit, or next to one, in 1 to 8 bytes.
fn limit(random: &mut Random) -> Vec<u8> {
    let value = random.pick(&LIMITS).copied().unwrap_or_default();
    let near = value.wrapping_add([0, 1, u64::MAX][random.below(3)]);
    let size = 1 << random.below(4);
    near.to_le_bytes().into_iter().take(size).collect()
}

fn overwrite(input: &mut Vec<u8>, at: usize, with: &[u8]) {
    input.resize(input.len().max(at + with.len()), 0);
    input.iter_mut().skip(at).zip(with).for_each(|(byte, with)| *byte = *with);
}
