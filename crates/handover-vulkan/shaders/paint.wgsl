// The painter's shaders. Compiled to `paint.spv` by the test `shaders_are_those_of_their_source`.

struct Push {
    // Of the target, in pixels.
    width: u32,
    height: u32,
    // Scene: the number to show, and which colours.
    frame: u32,
    index: u32,
    // Layer: where it goes, in pixels of the target.
    left: f32,
    top: f32,
    wide: f32,
    high: f32,
}
var<push_constant> push: Push;

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var filtering: sampler;

// One triangle that covers everything.
@vertex
fn scene_vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let x = f32(i32(index & 1u) * 4 - 1);
    let y = f32(i32(index >> 1u) * 4 - 1);
    return vec4<f32>(x, y, 0.0, 1.0);
}

// Rows of a digit, three columns each, the top row in the lowest bits.
fn digit_rows(digit: u32) -> u32 {
    var rows = array<u32, 10>(31599u, 29843u, 29671u, 31207u, 18925u, 31183u, 31695u, 18727u, 31727u, 31215u);
    return rows[digit];
}

// Is this pixel part of the number's bright strokes (2), of its dark ground (1), or outside (0)?
fn number(x: u32, y: u32) -> u32 {
    let cell = 4u;
    let left = 8u;
    let top = 8u;
    if x < left || y < top { return 0u; }
    let column = (x - left) / cell;
    let row = (y - top) / cell;
    if column >= 25u || row >= 7u { return 0u; }
    if column == 0u || row == 0u || row > 5u { return 1u; }
    let place = (column - 1u) / 4u;
    let stroke = (column - 1u) % 4u;
    if place >= 6u || stroke == 3u { return 1u; }
    var value = push.frame;
    for (var i = place; i < 5u; i = i + 1u) { value = value / 10u; }
    let bit = (row - 1u) * 3u + stroke;
    return 1u + ((digit_rows(value % 10u) >> bit) & 1u);
}

// What `scene::pixel` computes.
@fragment
fn scene_fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let x = u32(position.x);
    let y = u32(position.y);
    let across = x * 255u / push.width;
    let down = y * 255u / push.height;
    var colour = vec3<u32>(across, down, (push.index * 85u + 40u) % 256u);
    if (push.index & 1u) == 1u {
        colour = vec3<u32>((push.index * 53u + 20u) % 256u, 255u - across, down);
    }
    let band = (push.frame * 8u) % push.width;
    if (x + push.width - band) % push.width < 24u { colour = vec3<u32>(255u, 255u, 255u); }
    let part = number(x, y);
    if part == 1u { colour = vec3<u32>(16u, 16u, 16u); }
    if part == 2u { colour = vec3<u32>(255u, 220u, 64u); }
    return vec4<f32>(vec3<f32>(colour) / 255.0, 1.0);
}

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) at: vec2<f32>,
}

@vertex
fn layer_vertex(@builtin(vertex_index) index: u32) -> Corner {
    let at = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    let pixel = vec2<f32>(push.left, push.top) + at * vec2<f32>(push.wide, push.high);
    let size = vec2<f32>(f32(push.width), f32(push.height));
    var corner: Corner;
    corner.position = vec4<f32>(pixel / size * 2.0 - 1.0, 0.0, 1.0);
    corner.at = at;
    return corner;
}

@fragment
fn layer_fragment(corner: Corner) -> @location(0) vec4<f32> {
    return textureSample(picture, filtering, corner.at);
}
