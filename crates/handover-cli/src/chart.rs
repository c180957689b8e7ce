//! What pictures of schedules share: their width, the colours of owners, and text that is safe in XML, as in every picture.

/// Width of a picture, in pixels.
pub(crate) const WIDTH: f64 = 1200.0;
/// Free on the right of the time axis, in pixels.
pub(crate) const RIGHT: f64 = 30.0;
/// Width of a letter of the text in boxes, in pixels.
pub(crate) const LETTER: f64 = 6.8;
/// Jobs that a picture can hold.
pub(crate) const MOST: usize = 120;
/// Colours of owners; told apart by people who see no red or no green too (Okabe and Ito).
pub(crate) const COLOURS: [&str; 7] = ["#56b4e9", "#e69f00", "#66c2a5", "#f0e442", "#cc79a7", "#8da0cb", "#bbbbbb"];

/// The text as it stands in an element or an attribute.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
