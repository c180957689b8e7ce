//! The scene as numbers: what the shader draws, for whoever wants to check it.

/// Rows of a digit, three columns each, the top row in the lowest bits.
const DIGITS: [u32; 10] = [31599, 29843, 29671, 31207, 18925, 31183, 31695, 18727, 31727, 31215];

/// One pixel of the scene, as XRGB8888 with x at 255. `size`: width and height, neither 0.
///
/// ```
/// use handover_vulkan::paint::scene;
/// // Frames differ: a band moves, and the number counts.
/// assert_ne!(scene::pixel((64, 64), 0, 0, (0, 40)), scene::pixel((64, 64), 4, 0, (0, 40)));
/// ```
pub fn pixel((width, height): (u32, u32), frame: u32, index: u32, (x, y): (u32, u32)) -> u32 {
    let (width, height) = (width.max(1), height.max(1));
    let (across, down) = (x * 255 / width, y * 255 / height);
    let mut colour = match index & 1 {
        0 => [across, down, index.wrapping_mul(85).wrapping_add(40) % 256],
        _ => [index.wrapping_mul(53).wrapping_add(20) % 256, 255 - across, down],
    };
    let band = frame.wrapping_mul(8) % width;
    if (x + width - band) % width < 24 {
        colour = [255; 3];
    }
    match number(frame, x, y) {
        0 => {}
        1 => colour = [16; 3],
        _ => colour = [255, 220, 64],
    }
    let [red, green, blue] = colour;
    0xff00_0000 | red << 16 | green << 8 | blue
}

/// Outside of the number (0), its ground (1), or a stroke (2).
fn number(frame: u32, x: u32, y: u32) -> u32 {
    let (Some(column), Some(row)) = (x.checked_sub(8).map(|x| x / 4), y.checked_sub(8).map(|y| y / 4)) else {
        return 0;
    };
    if column >= 25 || row >= 7 {
        return 0;
    }
    let (Some(place), true) = (column.checked_sub(1).map(|column| column / 4), (1..=5).contains(&row)) else {
        return 1;
    };
    let stroke = (column - 1) % 4;
    if place >= 6 || stroke == 3 {
        return 1;
    }
    let digit = frame / 10u32.pow(5 - place) % 10;
    let rows = DIGITS.get(digit as usize).copied().unwrap_or_default();
    1 + (rows >> ((row - 1) * 3 + stroke) & 1)
}
