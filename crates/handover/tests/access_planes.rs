//! Access by planes, columns and rows: odd sizes, chroma planes, byte buffers, and runs that leave the row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{lease, refusal, soon, surface, surfaces};
use handover::allocate::buffer;
use handover::{
    Access, Bytes, Device, Elements, ExportFlags, Format, Kind, Lease, Options, Stage, Surface, Writers, export, import,
};

const READ: ExportFlags = ExportFlags::READ;
const ODD: [(u32, u32); 7] = [(1, 1), (1, 9), (9, 1), (7, 5), (8, 8), (17, 33), (65, 3)];

/// Bytes a row and rows of a plane.
fn shape(surface: &Surface, plane: usize) -> (usize, usize) {
    let (format, extent) = (surface.format().unwrap(), surface.layout().extent().unwrap());
    let (wide, rows) = format.plane_extent(plane, extent).unwrap();
    (wide.get() as usize * format.planes()[plane].bytes_per_element.get() as usize, rows as usize)
}

/// No byte like its neighbours, no plane like another.
fn content(plane: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u32).wrapping_mul(2_654_435_761).rotate_right(7) as u8 ^ (plane as u8 * 85)).collect()
}

fn share(ours: &Surface, device: Device) -> Surface {
    import(export(ours, READ, soon()).unwrap().handle, device).unwrap()
}

fn written(surface: &Surface) -> Lease {
    let held = lease(surface, Access::Write);
    let view = held.write(surface).unwrap();
    for plane in 0..surface.format().unwrap().planes().len() {
        let (row, rows) = shape(surface, plane);
        // Rows in the source lie further apart than they are long; what is between them goes nowhere.
        let stride = row + 13;
        let mut spread = vec![0xdd; stride * rows];
        for (into, from) in spread.chunks_mut(stride).zip(content(plane, row * rows).chunks(row)) {
            into[..row].copy_from_slice(from);
        }
        view.write_image(plane, &spread[..stride * (rows - 1) + row], stride).unwrap();
    }
    drop(view);
    held
}

#[test]
fn every_format_at_odd_sizes_reads_back_as_it_was_written() {
    for device in [Device::PLAIN, Device::BLOCKS] {
        for format in Format::ALL {
            for size in ODD {
                let ours = surfaces(device, *format, size, 1, Writers::Me).remove(0);
                written(&ours).release().unwrap();
                let theirs = share(&ours, Device::BLOCKS);
                let held = lease(&theirs, Access::Read);
                let view = held.read(&theirs).unwrap();
                for plane in 0..format.planes().len() {
                    let (row, rows) = shape(&ours, plane);
                    let (stride, expected) = (row + 3, content(plane, row * rows));
                    let mut found = vec![0xaa; stride * rows];
                    view.read_image(plane, &mut found, stride).unwrap();
                    for (y, (found, expected)) in found.chunks(stride).zip(expected.chunks(row)).enumerate() {
                        assert_eq!(&found[..row], expected, "{device} {format} {size:?}, plane {plane}, row {y}");
                        assert!(found[row..].iter().all(|byte| *byte == 0xaa), "bytes between rows");
                    }
                    let mut last = vec![0; row];
                    view.read(plane, Elements(0), rows as u32 - 1, &mut last).unwrap();
                    assert_eq!(last, expected[row * (rows - 1)..], "{device} {format} {size:?}, plane {plane}");
                }
            }
        }
    }
}

/// The planes of NV12 and YUV420 lie apart: writing one leaves the others, and chroma has its own columns and rows.
#[test]
fn planes_of_nv12_and_yuv420_do_not_touch_each_other() {
    for (format, elements) in [(Format::NV12, vec![1, 2]), (Format::YUV420, vec![1, 1, 1])] {
        let ours = surfaces(Device::PLAIN, format, (7, 5), 1, Writers::Me).remove(0);
        let held = written(&ours);
        let view = held.write(&ours).unwrap();
        for (plane, bytes) in elements.iter().enumerate() {
            let (row, rows) = shape(&ours, plane);
            assert_eq!((row, rows), if plane == 0 { (7, 5) } else { (4 * bytes, 3) }, "{format}, plane {plane}");
            // The last element of the last row, alone.
            let last = Elements((row / bytes) as u32 - 1);
            view.write(plane, last, rows as u32 - 1, &vec![0x42; *bytes]).unwrap();
            for other in 0..elements.len() {
                let (row, rows) = shape(&ours, other);
                let mut found = vec![0; row * rows];
                view.read_image(other, &mut found, row).unwrap();
                let mut expected = content(other, row * rows);
                if other <= plane {
                    let length = expected.len();
                    expected[length - elements[other]..].fill(0x42);
                }
                assert_eq!(found, expected, "{format}: plane {other} after plane {plane}");
            }
        }
        assert!(view.write(elements.len(), Elements(0), 0, &[0]).is_err(), "a plane too many");
    }
}

#[test]
fn runs_that_leave_the_row_are_refused_and_write_nothing() {
    for device in [Device::PLAIN, Device::BLOCKS] {
        let ours = surface(device, (13, 9), Writers::Me);
        let held = written(&ours);
        let view = held.write(&ours).unwrap();
        let mut large = vec![0; 4096];
        for (plane, x, y, length) in [
            (0, 0, 0, 56),
            (0, 13, 0, 4),
            (0, 12, 8, 8),
            (0, u32::MAX, 0, 4),
            (0, u32::MAX, u32::MAX, 4096),
            (0, 0, 9, 4),
            (0, 0, u32::MAX, 4),
            (1, 0, 0, 4),
            (3, 0, 0, 4),
            (usize::MAX, 0, 0, 4),
        ] {
            let what = format!("{device}: {length} bytes from {x}, {y} of plane {plane}");
            for error in [
                refusal(&what, view.read(plane, Elements(x), y, &mut large[..length])),
                refusal(&what, view.write(plane, Elements(x), y, &large[..length])),
            ] {
                assert_eq!((error.stage(), error.kind()), (Stage::Access, &Kind::Invalid), "{what}: {error}");
            }
        }
        // Rows too short, images too short, strides that overflow, planes that are none.
        for (plane, length, stride) in [
            (0, 4096, 51),
            (0, 4096, 0),
            (0, 52 * 9 - 1, 52),
            (0, 0, 52),
            (0, 4096, usize::MAX),
            (0, 4096, usize::MAX / 8),
            (1, 4096, 52),
            (2, 4096, 52),
            (usize::MAX, 4096, 52),
        ] {
            let what = format!("{device}: an image of {length} bytes, rows {stride} apart, of plane {plane}");
            for error in [
                refusal(&what, view.read_image(plane, &mut large[..length], stride)),
                refusal(&what, view.write_image(plane, &large[..length], stride)),
            ] {
                assert_eq!((error.stage(), error.kind()), (Stage::Access, &Kind::Invalid), "{what}: {error}");
            }
        }
        let mut found = vec![0; 52 * 9];
        view.read_image(0, &mut found, 52).unwrap();
        assert_eq!(found, content(0, 52 * 9), "{device}: a refused run wrote");
        // Runs up to the very end, and runs of nothing.
        view.read(0, Elements(12), 8, &mut large[..4]).unwrap();
        view.read(0, Elements(13), 8, &mut []).unwrap();
    }
}

#[test]
fn a_byte_buffer_is_one_row_of_bytes() {
    for size in [1, 63, 4096, 4097, 100_000] {
        let ours = buffer(Device::PLAIN, Bytes(size as u64), &Options::default()).unwrap().remove(0);
        assert!(ours.format().is_none() && ours.layout().size() == Bytes(size as u64));
        let held = lease(&ours, Access::Write);
        let view = held.write(&ours).unwrap();
        view.write_image(0, &content(0, size), size).unwrap();
        view.write(0, Elements(size as u32 - 1), 0, &[0x42]).unwrap();
        for (plane, x, y, length) in [(0, 0, 0, size + 1), (0, size as u32, 0, 1), (0, 0, 1, 1), (1, 0, 0, 1)] {
            let mut into = vec![0; length];
            let what = format!("{length} bytes from {x}, {y} of plane {plane} of {size}");
            assert_eq!(*refusal(&what, view.read(plane, Elements(x), y, &mut into)).kind(), Kind::Invalid);
            assert_eq!(*refusal(&what, view.write(plane, Elements(x), y, &into)).kind(), Kind::Invalid);
        }
        drop(view);
        held.release().unwrap();
        let theirs = share(&ours, Device::PLAIN);
        let held = lease(&theirs, Access::Read);
        let mut found = vec![0; size];
        held.read(&theirs).unwrap().read(0, Elements(0), 0, &mut found).unwrap();
        let mut expected = content(0, size);
        expected[size - 1] = 0x42;
        assert_eq!(found, expected);
    }
    for size in [0, u64::MAX, 1 << 63] {
        let error = refusal("a buffer", buffer(Device::PLAIN, Bytes(size), &Options::default()));
        assert_eq!(error.stage(), Stage::Allocate, "{size}: {error}");
    }
}

#[test]
fn a_lease_opens_its_own_surfaces_only() {
    let (ours, other) = (surface(Device::PLAIN, (8, 8), Writers::Me), surface(Device::PLAIN, (8, 8), Writers::Me));
    let held = lease(&ours, Access::Read);
    for error in [
        refusal("another surface", held.read(&other)),
        refusal("the same pixels, imported", held.read(&share(&ours, Device::PLAIN))),
    ] {
        assert_eq!((error.stage(), error.kind()), (Stage::Access, &Kind::Invalid), "{error}");
    }
    assert_eq!(*refusal("a write by a READ lease", held.write(&ours)).kind(), Kind::Invalid);
}

#[test]
fn a_clear_fills_formats_of_up_to_four_bytes_and_refuses_wider_ones() {
    for (format, element) in [
        (Format::R8, Some(vec![0x44])),
        (Format::RGB565, Some(vec![0x44, 0x33])),
        (Format::XRGB8888, Some(vec![0x44, 0x33, 0x22, 0x11])),
        (Format::ABGR16161616F, None),
    ] {
        let surface = surfaces(Device::PLAIN, format, (5, 3), 1, Writers::Me).remove(0);
        let lease = lease(&surface, Access::Write);
        let view = lease.write(&surface).unwrap();
        let Some(element) = element else {
            assert_eq!(*view.clear(0).unwrap_err().kind(), Kind::Unsupported);
            continue;
        };
        view.clear(0x1122_3344).unwrap();
        let mut last = vec![0; element.len()];
        view.read(0, Elements(4), 2, &mut last).unwrap();
        assert_eq!(last, element, "{format}");
    }
}
