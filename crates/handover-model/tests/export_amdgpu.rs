//! AMDGPU's export rule, row by row: what drops DCC, what stays, what a later export changes, what flush writes out, and interop.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::export::amdgpu::{Drop, HandleUsage as U, Move, Plan, Request, Stays, Step, Texture, Write, plan};
use handover_model::export::flush::{Dirty, Pass, afterwards, passes};
use handover_model::export::interop::{Access, Object, Status, Struct, check};
use handover_model::metadata::amdgpu::Level;
use handover_model::{Bytes, ExportFlags, Kind};

const FLUSH: U = U::EXPLICIT_FLUSH;
const RENDER: U = U::FRAMEBUFFER_WRITE;
const SHADER: U = U::SHADER_WRITE;
const READ: U = U::empty();
const FIRST: Step = Step::WriteMetadata(Write::First);
const AGAIN: Step = Step::WriteMetadata(Write::Dropped);

fn dcc(level: Level) -> Texture {
    Texture { dcc: true, ..Texture::new(level) }
}

fn export(texture: &Texture, before: Option<U>, usage: U) -> Plan {
    plan(texture, before, &Request::new(usage)).unwrap()
}

/// Each row of the decision table: the surface, what the consumer does, and every step.
#[test]
fn the_decision_table() {
    let vega = dcc(Level::Gfx9);
    let scanout = Texture { scanout: true, displayable: true, display_dcc: true, ..vega };
    let shown = Texture { displayable: true, display_dcc: true, ..vega };
    let with_modifier = Texture { planes: 3, modifier_with_dcc: true, ..scanout };
    let rows: [(&str, Texture, U, &[Step]); 20] = [
        ("a plain surface", Texture::new(Level::Gfx8), READ, &[FIRST]),
        ("reading with flush keeps DCC", vega, FLUSH, &[FIRST]),
        ("reading without flush keeps DCC and eliminates clears", vega, READ, &[Step::EliminateFastClears, FIRST]),
        ("rendering keeps DCC", vega, FLUSH | RENDER, &[FIRST]),
        ("4b, GFX8", dcc(Level::Gfx8), FLUSH | SHADER, &[Step::DropDcc(Drop::ShaderWrite), FIRST]),
        ("4b, GFX10.3", dcc(Level::Gfx10_3), FLUSH | SHADER, &[Step::DropDcc(Drop::ShaderWrite), FIRST]),
        ("4b, not from GFX11 on", dcc(Level::Gfx11), FLUSH | SHADER, &[FIRST]),
        ("4c, made for a display", scanout, READ, &[Step::DropDcc(Drop::FrontBuffer), FIRST]),
        ("4c, not with flush", scanout, FLUSH, &[FIRST]),
        ("4d, a display's DCC", shown, READ, &[Step::DropDcc(Drop::StaleDisplayDcc), FIRST]),
        ("4d, not with flush", shown, FLUSH | RENDER, &[FIRST]),
        (
            "4d, not with several planes",
            Texture { planes: 3, ..shown },
            READ,
            &[Step::EliminateFastClears, Step::RetileDisplayDcc, FIRST],
        ),
        ("5, GFX11 describes its clears", dcc(Level::Gfx11), READ, &[FIRST]),
        (
            "5, GFX11 retiles the display's DCC",
            Texture { planes: 3, displayable: true, display_dcc: true, ..dcc(Level::Gfx11) },
            READ,
            &[Step::RetileDisplayDcc, FIRST],
        ),
        (
            "4d, not before GFX9",
            Texture { displayable: true, ..dcc(Level::Gfx8) },
            READ,
            &[Step::EliminateFastClears, FIRST],
        ),
        (
            "a modifier with DCC keeps it",
            with_modifier,
            READ,
            &[
                Step::DccStays(Drop::FrontBuffer, Stays::Modifier),
                Step::EliminateFastClears,
                Step::RetileDisplayDcc,
                FIRST,
            ],
        ),
        (
            "GFX12 moves to other pages",
            Texture { scanout: true, ..dcc(Level::Gfx12) },
            READ,
            &[Step::MoveUncompressed(Drop::FrontBuffer), FIRST],
        ),
        (
            "GFX12 does not move what a modifier promises",
            Texture { scanout: true, modifier_with_dcc: true, ..dcc(Level::Gfx12) },
            READ,
            &[Step::DccStays(Drop::FrontBuffer, Stays::Modifier), FIRST],
        ),
        ("GFX12 keeps compressed pages for shaders", dcc(Level::Gfx12), FLUSH | SHADER, &[FIRST]),
        (
            "5, CMASK without flush",
            Texture { cmask: true, ..Texture::new(Level::Gfx8) },
            RENDER,
            &[Step::EliminateFastClears, Step::DiscardCmask, FIRST],
        ),
    ];
    for (name, texture, usage, steps) in rows {
        let plan = export(&texture, None, usage);
        assert_eq!(plan.steps, steps, "{name}");
        assert_eq!(plan.usage, Some(usage), "{name}");
        let drops = steps.iter().any(|step| matches!(step, Step::DropDcc(_) | Step::MoveUncompressed(_)));
        assert_eq!(plan.texture.dcc, texture.dcc && !drops, "{name}");
        for step in &plan.steps {
            assert!(step.to_string().len() > 20, "{step:?} says why");
        }
    }
}

#[test]
fn planes_samples_memory_debug_and_offsets() {
    let vega = dcc(Level::Gfx9);
    let further = plan(&vega, None, &Request { plane: 1, ..Request::new(READ) }).unwrap();
    assert_eq!((further.steps.as_slice(), further.usage), ([Step::PlaneOnly].as_slice(), None));
    for texture in [Texture { samples: 4, ..vega }, Texture { depth: true, ..vega }] {
        let error = plan(&texture, None, &Request::new(FLUSH)).unwrap_err();
        assert_eq!(*error.kind(), Kind::Unsupported);
    }
    for (texture, why) in [
        (Texture { suballocated: true, ..vega }, Move::Suballocated),
        (Texture { tile_swizzle: true, ..vega }, Move::TileSwizzle),
        (Texture { local: true, ..vega }, Move::Local),
    ] {
        let plan = export(&texture, None, FLUSH);
        assert_eq!(plan.steps, [Step::Move(why), FIRST]);
        assert_eq!(plan.texture, vega);
    }
    let debug = plan(&vega, None, &Request { no_exported_dcc: true, ..Request::new(FLUSH) }).unwrap();
    assert_eq!(debug.steps, [Step::DropDcc(Drop::Debug), FIRST]);
    let inside = plan(&vega, None, &Request { offset: Bytes(65536), ..Request::new(FLUSH) }).unwrap();
    assert_eq!(inside.steps, [], "metadata belongs to offset 0");
    let alone = Texture { suballocated: true, ..vega };
    let moved = plan(&alone, None, &Request { offset: Bytes(65536), ..Request::new(FLUSH) }).unwrap();
    assert_eq!(moved.steps, [Step::Move(Move::Suballocated), FIRST], "after a move it begins at 0");
}

/// Each row of the table of later exports.
#[test]
fn the_reexport_table() {
    let shown = Texture { displayable: true, display_dcc: true, ..dcc(Level::Gfx9) };
    let first = export(&shown, None, FLUSH);
    let same = export(&first.texture, first.usage, FLUSH);
    assert_eq!((same.steps.len(), same.changes_layout()), (0, false), "same flags: metadata is not rewritten");

    let without = export(&same.texture, same.usage, READ);
    assert_eq!(without.steps, [Step::DropDcc(Drop::StaleDisplayDcc), AGAIN]);
    assert!(without.changes_layout() && without.usage == Some(READ));

    let back = export(&without.texture, without.usage, FLUSH);
    assert_eq!((back.steps.len(), back.usage), (0, Some(READ)), "nothing comes back");

    let vega = export(&dcc(Level::Gfx9), None, FLUSH);
    let written = export(&vega.texture, vega.usage, FLUSH | SHADER);
    assert_eq!(written.steps, [Step::DropDcc(Drop::ShaderWrite), AGAIN]);

    let pages = Texture { scanout: true, ..dcc(Level::Gfx12) };
    let kept = export(&pages, Some(FLUSH), READ);
    assert_eq!(kept.steps, [Step::DccStays(Drop::FrontBuffer, Stays::AlreadyShared)], "importers hold the old memory");
    assert!(kept.texture.dcc && !kept.changes_layout());

    let rendered = export(&dcc(Level::Gfx9), None, FLUSH | RENDER);
    let stays = export(&rendered.texture, rendered.usage, FLUSH | SHADER);
    assert_eq!(stays.steps, [Step::DccStays(Drop::ShaderWrite, Stays::RenderedElsewhere)]);
    assert!(stays.texture.dcc && !stays.changes_layout());
    assert_eq!(stays.usage, Some(FLUSH | RENDER | SHADER));
}

#[test]
fn our_flags_as_usages() {
    assert_eq!(U::from(ExportFlags::READ), READ);
    assert_eq!(U::from(ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH), FLUSH);
    assert_eq!(U::from(ExportFlags::WRITE), RENDER | SHADER);
}

#[test]
fn what_flush_writes_out_by_generation() {
    let all = Dirty { colour: true, display: true };
    let shown = |level| Texture { display_dcc: true, ..dcc(level) };
    let rows: [(&str, Texture, Dirty, &[Pass]); 8] = [
        ("nothing compressed", Texture::new(Level::Gfx9), all, &[]),
        ("CMASK", Texture { cmask: true, ..Texture::new(Level::Gfx8) }, all, &[Pass::EliminateFastClears]),
        ("DCC", dcc(Level::Gfx9), all, &[Pass::EliminateFastClears]),
        ("FMASK", Texture { samples: 4, ..dcc(Level::Gfx9) }, all, &[Pass::DecompressFmask]),
        ("a display's DCC", shown(Level::Gfx10_3), all, &[Pass::EliminateFastClears, Pass::RetileDisplayDcc]),
        ("GFX11 describes its clears", shown(Level::Gfx11), all, &[Pass::RetileDisplayDcc]),
        ("GFX12 has nothing to do", shown(Level::Gfx12), all, &[]),
        ("nothing happened", shown(Level::Gfx9), Dirty::default(), &[]),
    ];
    for (name, texture, dirty, expected) in rows {
        assert_eq!(passes(&texture, dirty), expected, "{name}");
    }
}

#[test]
fn what_a_shared_surface_may_still_do() {
    let vega = Texture { display_dcc: true, ..dcc(Level::Gfx9) };
    let alone = afterwards(&vega, None);
    assert!(alone.cmask_clears && alone.replace_memory && !alone.retile_each_submission);
    let promised = afterwards(&vega, Some(FLUSH));
    assert!(promised.dcc_clears_of_any_colour && !promised.replace_memory && !promised.retile_each_submission);
    let not = afterwards(&vega, Some(READ));
    assert!(!not.cmask_clears && !not.dcc_clears_of_constants && not.retile_each_submission);
    let raven2 = afterwards(&Texture { constant_encode: true, ..vega }, Some(READ));
    assert!(raven2.dcc_clears_of_constants && !raven2.dcc_clears_of_any_colour);
}

#[test]
fn interop_versions() {
    for (of, caller, agreed) in [
        (Struct::DeviceInfo, 0, Err(Status::InvalidVersion)),
        (Struct::DeviceInfo, 3, Ok(3)),
        (Struct::DeviceInfo, 9, Ok(4)),
        (Struct::ExportIn, 2, Ok(2)),
        (Struct::ExportOut, 1, Ok(1)),
        (Struct::FlushOut, 2, Ok(1)),
    ] {
        assert_eq!(of.agree(caller), agreed, "{of:?} {caller}");
    }
    let has = |of: Struct, caller, name| of.fields(caller).any(|field| field == name);
    assert!(has(Struct::DeviceInfo, 3, "pci_bus") && !has(Struct::DeviceInfo, 4, "pci_bus"));
    assert!(!has(Struct::DeviceInfo, 2, "device_uuid") && has(Struct::DeviceInfo, 4, "device_uuid"));
    assert!(!has(Struct::DeviceInfo, 1, "driver_data") && !has(Struct::ExportOut, 1, "modifier"));
    assert!(has(Struct::ExportOut, 2, "modifier") && Struct::ExportOut.fields(0).count() == 0);
}

#[test]
fn interop_access_and_errors() {
    for (access, version, usage, flags) in [
        (0, 1, SHADER, ExportFlags::READ | ExportFlags::WRITE),
        (1, 1, READ, ExportFlags::READ),
        (1, 2, FLUSH, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH),
        (2, 2, FLUSH | SHADER, ExportFlags::WRITE | ExportFlags::EXPLICIT_FLUSH),
    ] {
        let access = Access::of(access).unwrap();
        assert_eq!((access.usage(version), access.flags(version)), (usage, flags));
    }
    assert_eq!(Access::of(3), None);
    let versions = [(Struct::ExportIn, 2), (Struct::ExportOut, 2)];
    for (versions, object, level, expected) in [
        (versions, Object::Buffer, 0, Ok(())),
        (versions, Object::Texture { levels: 3 }, 2, Ok(())),
        (versions, Object::Texture { levels: 3 }, 3, Err(Status::InvalidMipLevel)),
        (versions, Object::Buffer, 1, Err(Status::InvalidMipLevel)),
        (versions, Object::Renderbuffer { samples: 1 }, 0, Ok(())),
        (versions, Object::Renderbuffer { samples: 4 }, 0, Err(Status::InvalidOperation)),
        (versions, Object::Missing, 0, Err(Status::InvalidObject)),
        (versions, Object::Other, 0, Err(Status::InvalidTarget)),
        ([(Struct::ExportIn, 0), (Struct::ExportOut, 2)], Object::Other, 0, Err(Status::InvalidVersion)),
    ] {
        assert_eq!(check(versions, object, level), expected, "{object:?} {level}");
    }
    for (code, status) in Status::ALL.into_iter().enumerate() {
        assert_eq!((Status::of(code as i32), status.code()), (Some(status), code as i32));
        assert_eq!(status.error().is_none(), status == Status::Success);
    }
    assert_eq!((Status::of(11), Status::of(-1)), (None, None));
}
