//! Who got fewer frames than there were: a run is complete only if nobody did.

use serde::Serialize;

use super::plan::Plan;
use super::record::Heard;
use super::report::Participant;

/// A source that had fewer frames than the run was to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndedEarly {
    /// Its name.
    pub name: String,
    /// Frames it had.
    pub frames: u64,
}

/// A participant at an end of the pipeline that got fewer frames than there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Short {
    /// Its name.
    pub name: String,
    /// Frames it got.
    pub frames: u64,
    /// Frames there were. One, if a mailbox lies in between: it may pass over all the others.
    pub of: u64,
    /// Why, as far as it is known.
    pub why: String,
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, frames, of, why } = self;
        write!(f, "{name} got {frames} of {of} frames: {why}")
    }
}

/// Sources that say that they had no more.
pub(super) fn ended_early(plan: &Plan, heard: &[Heard]) -> Vec<EndedEarly> {
    let ended = plan.parties.iter().zip(heard).filter_map(|(party, heard)| {
        let frames = heard.tally.as_ref()?.ended_at?;
        Some(EndedEarly { name: party.participant.name.clone(), frames })
    });
    ended.collect()
}

/// Looks at every participant that nobody reads, and at every `opengl`, which reads back what each compute left.
pub(super) fn short(plan: &Plan, heard: &[Heard], participants: &[Participant]) -> Vec<Short> {
    let mut short = Vec::new();
    for (index, participant) in participants.iter().enumerate() {
        if plan.edges.iter().any(|edge| edge.producer == index) {
            continue;
        }
        let of = frames_for(plan, heard, index);
        let reads = plan.edges.iter().any(|edge| edge.reader == index);
        let frames = if reads { participant.frames.shown } else { participant.frames.submitted };
        if frames < of {
            short.push(Short { name: participant.name.clone(), frames, of, why: why(participants, participant) });
        }
    }
    for edge in plan.edges.iter().filter(|edge| edge.interop) {
        let named = |index: usize| plan.parties.get(index).map(|party| party.participant.name.clone());
        let Some((name, importer)) = named(edge.producer).zip(named(edge.reader)) else { continue };
        let tally = heard.get(edge.producer).and_then(|heard| heard.tally.as_ref());
        let back = tally.and_then(|tally| tally.read_back.iter().find(|back| back.importer == importer));
        let (frames, of) = (back.map_or(0, |back| back.frames), frames_for(plan, heard, edge.producer));
        if frames < of {
            short.push(Short { name, frames, of, why: format!("of what {importer} left, it read back no more") });
        }
    }
    short
}

/// How many frames participant `end` must have got. As few as the shortest of its sources had, and no more than one
/// behind a mailbox.
fn frames_for(plan: &Plan, heard: &[Heard], end: usize) -> u64 {
    let mut least = plan.frames;
    let mut upstream = vec![end];
    let mut at = 0;
    while let Some(index) = upstream.get(at).copied() {
        at += 1;
        let ended_at = heard.get(index).and_then(|heard| heard.tally.as_ref()?.ended_at);
        least = least.min(ended_at.unwrap_or(least));
        for edge in plan.edges.iter().filter(|edge| edge.reader == index) {
            if edge.mailbox {
                least = least.min(1);
            }
            if !upstream.contains(&edge.producer) {
                upstream.push(edge.producer);
            }
        }
    }
    least
}

fn why(participants: &[Participant], short: &Participant) -> String {
    let without = participants.iter().find_map(|producer| {
        let without = producer.without.iter().find(|without| without.reader == short.name)?;
        Some(format!("{} went on without it ({})", producer.name, without.why))
    });
    let gone = short.inputs.iter().find(|input| input.gone);
    let gone = gone.map(|input| format!("its producer {} went away without ending the stream", input.producer));
    without.or(gone).unwrap_or_else(|| "the stream ended before that".into())
}

#[cfg(test)]
mod tests {
    use super::{EndedEarly, Short, ended_early, short};
    use crate::participant::event::{Event, InputTally, ReadBack, Tally, Without};
    use crate::pipeline::Pipeline;
    use crate::run::plan::Plan;
    use crate::run::record::Record;
    use crate::run::report::participant;

    /// `card` is read by `video` and, as a mailbox, by `preview`.
    fn plan() -> Plan {
        let text = "name = \"t\"\n[[participant]]\nname = \"card\"\nkind = \"pattern\"\n\
                    [[participant]]\nname = \"video\"\nkind = \"encoder\"\nreads = [\"card\"]\n\
                    [[participant]]\nname = \"preview\"\nkind = \"preview\"\nreads = [\"card\"]\nmode = \"mailbox\"\n";
        Plan::of(&Pipeline::parse(text, "t.toml").unwrap(), None, Some(50)).unwrap()
    }

    /// What is found when `card`, `video` and `preview` counted this.
    fn found(card: Tally, video: Tally, preview: Tally) -> (Vec<EndedEarly>, Vec<Short>) {
        found_in(&plan(), vec![card, video, preview])
    }

    /// What is found when the participants of a plan counted this, in its order.
    fn found_in(plan: &Plan, tallies: Vec<Tally>) -> (Vec<EndedEarly>, Vec<Short>) {
        let mut record = Record::of(plan).unwrap();
        for (index, tally) in tallies.into_iter().enumerate() {
            record.take(index, Event::Done(Box::new(tally)));
        }
        let heard = record.close();
        let parties = plan.parties.iter().zip(heard).enumerate();
        let participants: Vec<_> = parties.map(|(i, (party, heard))| participant(plan, i, party, heard, 0)).collect();
        (ended_early(plan, heard), short(plan, heard, &participants))
    }

    fn shown(frames: u64) -> Tally {
        Tally { shown: frames, ..Tally::default() }
    }

    #[test]
    fn a_run_is_complete_if_every_fifo_reader_got_all_and_a_mailbox_something() {
        assert_eq!(found(Tally::default(), shown(50), shown(1)).1, []);
    }

    #[test]
    fn an_opengl_has_to_read_back_every_frame_of_every_compute() {
        let text = "name = \"t\"\n[[participant]]\nname = \"gl\"\nkind = \"opengl\"\ndevice = \"navi21\"\n\
                    [[participant]]\nname = \"cl\"\nkind = \"compute\"\ndevice = \"navi21\"\nreads = [\"gl\"]\naccess = \"read\"\n";
        let plan = Plan::of(&Pipeline::parse(text, "t.toml").unwrap(), None, Some(50)).unwrap();
        let back = |frames| Tally { read_back: vec![ReadBack { importer: "cl".into(), frames }], ..Tally::default() };
        assert_eq!(found_in(&plan, vec![back(50), shown(50)]).1, []);
        for (tally, says) in [
            (back(49), "gl got 49 of 50 frames: of what cl left, it read back no more"),
            (Tally::default(), "gl got 0 of 50 frames: of what cl left, it read back no more"),
        ] {
            let short = found_in(&plan, vec![tally, shown(50)]).1;
            let [gl] = short.as_slice() else { panic!("{short:?}") };
            assert_eq!(gl.to_string(), says);
        }
    }

    #[test]
    fn a_reader_that_its_producer_went_on_without_is_named_with_the_reason() {
        let without = Without { reader: "video".into(), why: "it said no".into() };
        let short = found(Tally { without: vec![without], ..Tally::default() }, shown(0), shown(9)).1;
        let [video] = short.as_slice() else { panic!("{short:?}") };
        assert_eq!(video.to_string(), "video got 0 of 50 frames: card went on without it (it said no)");
    }

    #[test]
    fn a_producer_that_went_away_is_told() {
        let gone = InputTally { producer: "card".into(), gone: true, ..InputTally::default() };
        let short = found(Tally::default(), shown(50), Tally { inputs: vec![gone], ..shown(0) }).1;
        let [preview] = short.as_slice() else { panic!("{short:?}") };
        assert_eq!((preview.name.as_str(), preview.frames, preview.of), ("preview", 0, 1));
        assert!(preview.why.contains("card went away"), "{preview}");
    }

    #[test]
    fn a_source_that_has_fewer_frames_says_so_and_nobody_is_short() {
        let card = || Tally { ended_at: Some(20), ..Tally::default() };
        assert_eq!(found(card(), shown(20), shown(3)), (vec![EndedEarly { name: "card".into(), frames: 20 }], vec![]));
        assert_eq!(found(card(), shown(19), shown(3)).1.len(), 1);
    }
}
