//! Nodes of one role: one that serves HTTP alone, beside one that serves WebSockets alone.

mod cluster;
mod support;

use serde_json::json;

use cluster::Cluster;
use support::{client_msg_id, text};

#[test]
fn what_is_asked_of_a_node_without_clients_reaches_them_by_the_homes_of_another() {
    let cluster = Cluster::start();
    let gateway = cluster.linked_with("gateway", &["--node.roles=gateway", "--node.api_url=http://api.example.org"]);
    let gateway = gateway.ready();
    let api = cluster.linked_with("api", &["--node.roles=api"]).ready();
    assert!(gateway.api.is_empty() && api.ws.is_empty(), "each serves its own");
    let (_, ann) = api.sign_up("ann");
    let (bob_id, bob) = api.sign_up("bob");
    let channel = api.direct(&ann, &bob_id);

    let best = format!("{}/connection/websocket", gateway.ws);
    let (_, servers) = api.http("GET", "/v1/servers/best", None, None);
    let servers = servers.as_array().expect("a list");
    let told: Vec<_> = servers.iter().map(|server| (text(&server["url"]), text(&server["api_url"]))).collect();
    assert_eq!(told, [(best, "http://api.example.org".to_owned())]);

    let mut client = gateway.connect(&bob, "phone");
    let path = format!("/v1/channels/{channel}/messages");
    for number in 1..=50 {
        let body = json!({"client_msg_id": client_msg_id(number), "body": format!("m{number}")});
        let (status, sent) = api.http("POST", &path, Some(&ann), Some(&body));
        assert_eq!((status, &sent["seq"]), (201, &json!(number)), "{sent}");
        assert_eq!(client.push()["message"]["message"]["seq"], json!(number));
    }
    let reply = client.send(&channel, &client_msg_id(51), "m51");
    assert_eq!(reply["send"]["seq"], json!(51), "{reply}");
    let (_, page) = api.http("GET", &format!("{path}?limit=1"), Some(&ann), None);
    assert_eq!(page["messages"][0]["body"], json!("m51"), "{page}");
    assert_eq!(api.metric("rookery_partitions"), 0);
    assert_eq!(api.terminate().code(), Some(0));
    assert_eq!(gateway.terminate().code(), Some(0));
}
