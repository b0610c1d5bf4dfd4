//! Slips as a page to print: a person on each sheet.

use std::fmt::Write as _;

use axum::response::Response;
use chrono::DateTime;
use qrcode::{EcLevel, QrCode, render::svg};

use super::{
    page::{Page, escape},
    slips::{SlipReply, SlipsReply},
};
use crate::{
    api::client::well_known::base_url,
    http::{ApiError, services::Services},
};

/// How wide the QR code is at least, in the units of its drawing; the style sets its size on paper.
const QR_SIZE_MIN: u32 = 200;

const STYLE: &str = "\
@page{margin:20mm}body{font:12pt/1.5 sans-serif;color:#000;margin:0}\
section{break-after:page;max-width:170mm;margin:10mm auto}section:last-of-type{break-after:auto}\
h1{font-size:18pt;margin:0}.class{color:#444;margin:0 0 8mm}svg{width:50mm;height:50mm;float:right;margin:0 0 6mm 6mm}\
.code{font:bold 20pt/1.8 monospace;letter-spacing:1pt}dt{color:#444;font-size:10pt;margin-top:3mm}dd{margin:0}\
ol{padding-left:6mm}";

/// The page.
///
/// # Errors
/// A link too long for a QR code, which only an absurd configured address makes.
pub(super) fn page(services: &Services, made: &SlipsReply) -> Result<Response, ApiError> {
    let address = base_url(&services.config);
    let mut body = String::new();
    for slip in &made.slips {
        section(&mut body, slip, &address).map_err(ApiError::internal)?;
    }
    if made.slips.is_empty() {
        body.push_str("<p>No slips: nobody of those who were asked for needs one.</p>");
    }
    Page { title: "Activation slips", style: STYLE, script: "", body: &body }.response()
}

fn section(body: &mut String, slip: &SlipReply, address: &str) -> Result<(), qrcode::types::QrError> {
    let code = QrCode::with_error_correction_level(slip.url.as_bytes(), EcLevel::M)?;
    let drawing = code.render::<svg::Color<'_>>().min_dimensions(QR_SIZE_MIN, QR_SIZE_MIN).build();
    // Inside a page a drawing has no declaration of its own.
    let drawing = drawing.split_once("?>").map_or(drawing.as_str(), |(_, drawing)| drawing);
    let name = escape(&slip.name);
    let class = slip.class.as_deref().map(escape).unwrap_or_default();
    let (user_id, printed, address) = (escape(&slip.user_id), escape(&slip.code), escape(address));
    // Writing to a string cannot fail.
    let _ = write!(
        body,
        "<section>{drawing}<h1>{name}</h1><p class=\"class\">{class}</p>\
         <dl><dt>Your user name</dt><dd>{user_id}</dd><dt>Server</dt><dd>{address}</dd>\
         <dt>Your code, good once, until {until}</dt><dd class=\"code\">{printed}</dd></dl>\
         <ol><li>Scan the picture with a phone, or open {address}/_homeroom/activate and type the code.</li>\
         <li>Choose a password that you use nowhere else.</li>\
         <li>Sign in with any Matrix app: server, user name and password.</li></ol>\
         <p>Keep this sheet to yourself until you have used it.</p></section>",
        until = date(slip.until_ms),
    );
    Ok(())
}

fn date(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.format("%Y-%m-%d").to_string()
}
