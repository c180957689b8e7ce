//! Colours: I420 against XRGB8888, checked with floating point and by going there and back.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use handover::Extent;
use handover_cli::media::colour::{from_xrgb, to_xrgb, to_xrgb_row};
use handover_cli::media::{I420, png};

/// BT.601 as ITU-R writes it, limited range; red, green and blue from 0 to 255.
fn reference([red, green, blue]: [f64; 3]) -> [f64; 3] {
    let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
    [
        16.0 + luma * 219.0 / 255.0,
        128.0 + (blue - luma) / 1.772 * 224.0 / 255.0,
        128.0 + (red - luma) / 1.402 * 224.0 / 255.0,
    ]
}

fn flat(extent: Extent, red: u8, green: u8, blue: u8) -> Vec<u8> {
    [blue, green, red, 0].repeat((extent.width().get() * extent.height().get()) as usize)
}

#[test]
fn every_colour_is_within_one_of_the_reference_and_comes_back() {
    let extent = Extent::new(2, 2).unwrap();
    let mut picture = I420::new(extent);
    let steps = (0..=255).step_by(15).chain([1, 254]);
    for red in steps.clone() {
        for green in steps.clone() {
            for blue in steps.clone() {
                from_xrgb(&mut picture, &flat(extent, red, green, blue));
                let expected = reference([red, green, blue].map(f64::from));
                let found = [picture.y()[0], picture.u()[0], picture.v()[0]];
                for (found, expected) in found.iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() <= 0.51, "{red} {green} {blue}: {found} {expected}");
                }
                let back = to_xrgb(&picture);
                for (found, asked) in back[..3].iter().zip([blue, green, red]) {
                    assert!(found.abs_diff(asked) <= 2, "{red} {green} {blue}: {:?}", &back[..4]);
                }
                assert_eq!(back[3], 255);
            }
        }
    }
}

#[test]
fn chroma_is_the_mean_of_its_pixels_and_odd_edges_round_up() {
    let extent = Extent::new(3, 3).unwrap();
    let mut picture = I420::new(extent);
    assert_eq!((picture.u().len(), picture.chroma_width()), (4, 2));
    let red_and_blue: Vec<u8> = (0..9).flat_map(|i| if i % 3 == 0 { [0, 0, 255, 0] } else { [255, 0, 0, 0] }).collect();
    from_xrgb(&mut picture, &red_and_blue);
    let (red, blue) = (reference([255.0, 0.0, 0.0]), reference([0.0, 0.0, 255.0]));
    // Left block: a red and a blue column. Right block: blue alone.
    assert!((f64::from(picture.u()[0]) - (red[1] + blue[1]) / 2.0).abs() <= 0.51);
    assert!((f64::from(picture.u()[1]) - blue[1]).abs() <= 0.51);
    assert!((f64::from(picture.v()[3]) - blue[2]).abs() <= 0.51);
    assert!(
        picture.y().iter().enumerate().all(|(i, y)| y.abs_diff(if i % 3 == 0 { 82 } else { 41 }) <= 1),
        "{:?}",
        picture.y()
    );
}

#[test]
fn rows_that_do_not_fit_are_left_alone() {
    let mut picture = I420::new(Extent::new(5, 3).unwrap());
    let mut row = [7; 12];
    to_xrgb_row(&picture, 3, &mut row);
    assert_eq!(row, [7; 12]);
    to_xrgb_row(&picture, usize::MAX, &mut row);
    to_xrgb_row(&picture, 2, &mut row);
    assert_eq!(row, [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]);
    from_xrgb(&mut picture, &[255; 13]);
    from_xrgb(&mut picture, &[255; 1000]);
    from_xrgb(&mut picture, &[]);
}

#[test]
fn replicated_edges() {
    let mut odd = I420::new(Extent::new(3, 3).unwrap());
    from_xrgb(&mut odd, &(0..9).flat_map(|i| [i * 20, i * 20, i * 20, 0]).collect::<Vec<u8>>());
    let mut even = I420::new(Extent::new(4, 4).unwrap());
    even.copy_replicated(&odd);
    let rows = |picture: &I420, width: usize| picture.y().chunks(width).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (odd_rows, even_rows) = (rows(&odd, 3), rows(&even, 4));
    assert_eq!(even_rows[2], even_rows[3]);
    for (odd, even) in odd_rows.iter().zip(&even_rows) {
        assert_eq!((&even[..3], even[3]), (odd.as_slice(), odd[2]));
    }
}

#[test]
fn png_goes_there_and_back() {
    let extent = Extent::new(37, 11).unwrap();
    let xrgb: Vec<u8> = (0..37 * 11_u32).flat_map(|i| [i as u8, (i * 7) as u8, (i * 31) as u8, 255]).collect();
    let path = std::env::temp_dir().join(format!("handover-png-{}.png", std::process::id()));
    png::write(&path, extent, &xrgb).unwrap();
    assert_eq!(png::read(&path).unwrap(), (extent, xrgb.clone()));
    std::fs::remove_file(&path).unwrap();
    assert!(png::write(&path, extent, &xrgb[4..]).is_err());
    assert!(png::write(std::path::Path::new("/proc/no.png"), extent, &xrgb).is_err());
}
