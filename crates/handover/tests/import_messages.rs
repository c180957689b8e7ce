//! Import of forged messages: random bytes, every cut, mutations, fields beyond the memory. Refused, or a surface that works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::OwnedFd;

use common::{Noise, Parts, alone, at, copy, keeps_descriptors, lease, millis, refusal, soon, surface, surfaces};
use handover::{
    Access, Deadline, Device, Elements, ExportFlags, Format, Handle, Kind, Modifier, Region, Stage, Surface, Writers,
    acquire, export, import,
};
use handover_model::wire::{MAX_MESSAGE, Message};

const FLAGS: ExportFlags = ExportFlags::READ.union(ExportFlags::EXPLICIT_FLUSH);

fn parts(surface: &Surface, flags: ExportFlags) -> Parts {
    Parts::of(export(surface, flags, soon()).unwrap().handle)
}

fn refused(what: &str, parts: &Parts, bytes: &[u8]) -> Kind {
    let error =
        keeps_descriptors(what, || refusal(what, parts.forge(bytes).and_then(|handle| import(handle, Device::BLOCKS))));
    assert_eq!(error.stage(), Stage::Import, "{what}: {error}");
    error.kind().clone()
}

/// Does with a surface what an importer does, whatever it turns out to be.
fn use_it(surface: &Surface) {
    let Ok(Ok(lease)) = acquire(&[(surface, Access::Read, Region::WHOLE)], millis(50)).map(|acquire| acquire.wait())
    else {
        return;
    };
    let view = lease.read(surface).unwrap();
    let mut image = vec![0; 1 << 16];
    for plane in 0..5 {
        for stride in [1, 200, 256, 1024] {
            let _ = view.read_image(plane, &mut image, stride);
        }
        for y in [0, 7, 8, 19, u32::MAX] {
            let _ = view.read(plane, Elements(3), y, &mut image[..64]);
        }
    }
    let _ = surface.metadata();
}

#[test]
fn random_bytes_are_no_handle() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (50, 20), Writers::Me);
    let parts = parts(&ours, FLAGS);
    let mut noise = Noise::new(1);
    keeps_descriptors("random bytes", || {
        for round in 0..20_000 {
            let length = noise.below(if round % 10 == 0 { MAX_MESSAGE + 64 } else { 200 });
            let mut bytes = noise.bytes(length);
            if round % 2 == 0 && length >= 12 {
                // Behind an honest head, so that the fields are reached.
                bytes[..12].copy_from_slice(&parts.bytes[..12]);
                bytes[at::LENGTH..at::LENGTH + 4].copy_from_slice(&(length as u32).to_le_bytes());
            }
            refusal("random bytes", Handle::from_parts(&bytes, Vec::new()));
            if round % 16 == 0
                && let Ok(handle) = parts.forge(&bytes)
            {
                let _ = import(handle, Device::BLOCKS);
            }
        }
    });
}

#[test]
fn a_message_cut_anywhere_or_with_bytes_behind_it_is_refused() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (50, 20), Writers::Me);
    let parts = parts(&ours, FLAGS);
    for length in 0..parts.bytes.len() {
        refused("a cut message", &parts, &parts.bytes[..length]);
        // The length field may lie as well.
        let mut bytes = parts.bytes[..length].to_vec();
        if let Some(field) = bytes.get_mut(at::LENGTH..at::LENGTH + 4) {
            field.copy_from_slice(&(length as u32).to_le_bytes());
            refused("a cut message that says so", &parts, &bytes);
        }
    }
    let mut longer = parts.bytes.clone();
    longer.push(0);
    refused("a byte too many", &parts, &longer);
}

#[test]
fn mutated_messages_are_refused_or_make_a_surface_that_works() {
    let _turn = alone();
    let all = surfaces(Device::BLOCKS, Format::XRGB8888, (50, 20), 3, Writers::Open);
    let plain = surfaces(Device::PLAIN, Format::NV12, (33, 17), 1, Writers::Open).remove(0);
    for (ours, flags) in [(&all[1], FLAGS), (&all[0], ExportFlags::WRITE), (&plain, ExportFlags::READ)] {
        let parts = parts(ours, flags);
        let mut noise = Noise::new(2);
        let mut through = 0;
        keeps_descriptors("mutated messages", || {
            let mut try_it = |bytes: &[u8]| {
                if let Ok(surface) = parts.forge(bytes).and_then(|handle| import(handle, Device::BLOCKS)) {
                    through += 1;
                    use_it(&surface);
                }
            };
            for position in 0..parts.bytes.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff, parts.bytes[position] ^ 1, parts.bytes[position].wrapping_add(1)]
                {
                    try_it(&parts.patched(position, &[value]));
                }
            }
            for _ in 0..3_000 {
                let mut bytes = parts.bytes.clone();
                for _ in 0..=noise.below(4) {
                    let position = noise.below(bytes.len());
                    bytes[position] = noise.next() as u8;
                }
                try_it(&bytes);
            }
        });
        assert!(through > 0, "a mutation that changes nothing is let through");
        // The honest side did not notice.
        let _ = lease(ours, Access::Write);
    }
}

#[test]
fn a_handle_has_two_descriptors_in_their_order() {
    let _turn = alone();
    for writers in [Writers::Me, Writers::Open] {
        let ours = surface(Device::BLOCKS, (50, 20), writers);
        let parts = parts(&ours, FLAGS);
        for count in [0, 1, 3, 4, 16] {
            let descriptors = |_| if count == 1 { copy(&parts.pixels) } else { copy(&parts.control) };
            keeps_descriptors("a wrong count", || {
                let descriptors: Vec<OwnedFd> = (0..count).map(descriptors).collect();
                let error = refusal("a wrong count", Handle::from_parts(&parts.bytes, descriptors));
                assert_eq!(*error.kind(), Kind::Malformed, "{error}");
            });
        }
        for (what, first, second) in [
            ("control file, pixels", &parts.control, &parts.pixels),
            ("pixels twice", &parts.pixels, &parts.pixels),
            ("control file twice", &parts.control, &parts.control),
        ] {
            keeps_descriptors(what, || {
                let handle = Handle::from_parts(&parts.bytes, vec![copy(first), copy(second)]).unwrap();
                let error = refusal(what, import(handle, Device::BLOCKS));
                assert!(matches!(error.kind(), Kind::Malformed | Kind::Spoiled), "{what}: {error}");
            });
        }
    }
    for message in [Message::End, Message::Mapped { index: 0 }, Message::Frame { index: 0, frame: 1 }] {
        refusal("another message", Handle::from_parts(&message.encode(), Vec::new()));
    }
}

#[test]
fn fields_that_leave_the_pool_or_the_memory_are_refused() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (50, 20), Writers::Me);
    let parts = parts(&ours, FLAGS);
    let memory = ours.layout().size().get();
    let huge = [u64::MAX, 1 << 63, i64::MAX as u64, memory + 8192].map(u64::to_le_bytes);

    for index in [1, 2, 1024, u32::MAX] {
        refused("an index outside the pool", &parts, &parts.patched(at::INDEX, &index.to_le_bytes()));
    }
    for surfaces in [0, 2, 1024, 1025, u32::MAX] {
        refused("another count of surfaces", &parts, &parts.patched(at::SURFACES, &surfaces.to_le_bytes()));
    }
    refused("another pool", &parts, &parts.patched(at::POOL, &[0xff; 8]));
    for access in [0, 4, 8, 0xff] {
        refused("flags without READ and WRITE", &parts, &parts.patched(at::ACCESS, &[access]));
    }
    refused("an unknown class of read-only", &parts, &parts.patched(at::READ_ONLY, &[3]));
    for plane in 0..2 {
        for value in &huge {
            for field in [at::OFFSET, at::STRIDE, at::SIZE] {
                refused("a plane beyond the memory", &parts, &parts.patched(field + plane * at::PLANE, value));
            }
        }
    }
    for planes in [0, 1, 3, 4, 5, 0xff] {
        // One plane leaves the second behind as bytes that belong to nothing.
        refused("another count of planes", &parts, &parts.patched(at::PLANES, &[planes]));
    }
    for extent in [0, 65, 16_385, u32::MAX] {
        refused("a width the planes do not have", &parts, &parts.patched(at::WIDTH, &u32::to_le_bytes(extent)));
        refused("a height the planes do not have", &parts, &parts.patched(at::HEIGHT, &u32::to_le_bytes(extent)));
    }
    for format in [0, 1, u32::MAX] {
        refused("no format of ours", &parts, &parts.patched(at::FORMAT, &u32::to_le_bytes(format)));
    }
}

#[test]
fn a_memory_that_is_alleged_and_not_there_is_refused() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (64, 16), Writers::Me);
    let parts = parts(&ours, FLAGS);
    // Consistent in itself: 4096 rows of the same stride, memory for them alleged.
    let mut bytes = parts.patched(at::HEIGHT, &4096_u32.to_le_bytes());
    for (field, value) in [(at::MEMORY, 1_u64 << 20), (at::SIZE, 256 * 4096)] {
        bytes[field..field + 8].copy_from_slice(&value.to_le_bytes());
    }
    assert_eq!(refused("rows behind the end of the memfd", &parts, &bytes), Kind::Malformed);
}

#[test]
fn a_modifier_nobody_here_knows_is_not_taken_for_linear() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (64, 16), Writers::Me);
    let parts = parts(&ours, FLAGS);
    // Without one the metadata would tell; and that, too, may be lost.
    ours.set_metadata(&handover::Metadata::default()).unwrap();
    for modifier in [Modifier::INVALID.0, 1, 0x0500_0000_0000_0001, 0xf000_0000_0000_0002] {
        let bytes = parts.patched(at::MODIFIER, &modifier.to_le_bytes());
        assert_eq!(refused("an unknown modifier", &parts, &bytes), Kind::Unsupported);
    }
    // Known, but the planes are linear ones.
    let bytes = parts.patched(at::MODIFIER, &Modifier::SIM_BLOCKS.0.to_le_bytes());
    refused("the wrong modifier", &parts, &bytes);
}

#[test]
fn an_import_for_read_does_not_write() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (64, 16), Writers::Open);
    let theirs = import(export(&ours, ExportFlags::READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
    let error = refusal("WRITE", acquire(&[(&theirs, Access::Write, Region::WHOLE)], Deadline::now()));
    assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
    let lease = lease(&theirs, Access::Read);
    refusal("a write through a READ lease", lease.write(&theirs));
}
