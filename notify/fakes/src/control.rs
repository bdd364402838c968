//! What drives a fake from another process, on the port of its service.
//!
//! ```text
//! POST /control    {"profile": "slow:200"}; {"goaway": true}; {"clear": true};
//!                  {"secret": "…"}, of the server that is told of events: what calls are signed with
//! GET  /received   the messages that it has taken, as JSON
//! GET  /counts     how many
//! ```

use bytes::Bytes;
use http::{Method, Request};
use serde::Deserialize;
use serde_json::json;

use crate::profile::Profile;
use crate::server::{Answer, Service, Shared, answer, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    profile: Option<String>,
    #[serde(default)]
    goaway: bool,
    #[serde(default)]
    clear: bool,
    secret: Option<String>,
}

/// The answer to such a request; `None` if it is one to the service.
pub(crate) fn respond(shared: &Shared, service: &dyn Service, request: &Request<Bytes>) -> Option<Answer> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/control") => Some(control(shared, service, request.body())),
        (&Method::GET, "/received") => Some(json(200, &json!(shared.ledger.received()))),
        (&Method::GET, "/counts") => {
            let counts = json!({
                "profile": shared.profile().to_string(),
                "counts": shared.ledger.counts(),
                "fault": shared.ledger.fault(),
            });
            Some(json(200, &counts))
        }
        _ => None,
    }
}

fn control(shared: &Shared, service: &dyn Service, body: &[u8]) -> Answer {
    let orders: Orders = match serde_json::from_slice(body) {
        Ok(orders) => orders,
        Err(error) => return answer(400, error.to_string()),
    };
    match orders.profile.map(|profile| profile.parse::<Profile>()).transpose() {
        Ok(profile) => profile.into_iter().for_each(|profile| shared.set_profile(profile)),
        Err(error) => return answer(400, error.to_string()),
    }
    orders.secret.iter().for_each(|secret| service.expect(secret));
    if orders.clear {
        shared.ledger.clear();
    }
    if orders.goaway {
        shared.goaway.send_modify(|times| *times += 1);
    }
    answer(200, "")
}
