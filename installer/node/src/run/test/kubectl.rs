use super::*;
use crate::api::ClusterRequest;
use crate::machine::{Finished, Program};

fn says(success: bool, stdout: &str, stderr: &str) -> Finished {
    Finished {
        success,
        how: "exit status: 1".to_owned(),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

fn master(kubectl: fn(&Program) -> Finished) -> Fake {
    Fake { kubectl: Some(kubectl), ..Fake::bare() }
}

#[test]
fn the_nodes_are_those_that_the_cluster_knows() {
    let mut machine = master(|program| {
        assert_eq!(program.words[..2], ["--kubeconfig", "/etc/kubernetes/admin.conf"]);
        says(
            true,
            "m1\t10.0.0.1 \tmaster \tv1.20.2\t<no value>\tTrue\nw1\t10.0.0.9 \t\tv1.20.2\ttrue\tFalse\n",
            "",
        )
    });
    let (outcome, _) = ask(&mut machine, &Request::Cluster(ClusterRequest::Nodes));
    let Ok(Outcome::Nodes { nodes }) = outcome else { panic!("{outcome:?}") };
    let seen: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.is_master, node.is_ready)).collect();
    assert_eq!(seen, [("m1", true, true), ("w1", false, false)]);
}

#[test]
fn a_token_is_read_from_a_pipe_and_never_shown() {
    let mut machine = master(|program| {
        let input = program.input.as_ref().unwrap().reveal();
        assert!(input.contains("0123456789abcdef") && input.contains(r#""expiration":"2"#), "{input}");
        assert!(!format!("{program:?}").contains("0123456789abcdef"));
        says(true, "secret/bootstrap-token-abcdef created\n", "")
    });
    let (token, lives) = (TOKEN.parse().unwrap(), Duration::from_secs(3600));
    let request = Request::Cluster(ClusterRequest::AddToken { token, lives });
    assert!(request.changes());
    let (_, told) = changed(&mut machine, &request);
    assert!(
        told[0].starts_with("the token abcdef.*** may join until 2") && told[0].ends_with('Z'),
        "{told:?}"
    );
    let endless =
        Request::Cluster(ClusterRequest::AddToken { token: TOKEN.parse().unwrap(), lives: Duration::MAX });
    refused(&mut machine, &endless, Kind::Usage, "a token cannot live for");
}

#[test]
fn an_older_kubectl_drains_as_well_and_what_was_done_is_not_told_again() {
    let mut machine = master(|program| match program.words[2].as_str() {
        "drain" if program.words.iter().any(|word| word == "--delete-emptydir-data") => {
            says(false, "", "Error: unknown flag: --delete-emptydir-data")
        }
        "drain" => says(true, "node/w1 cordoned\n", ""),
        "delete" => says(true, "", ""),
        _ => says(false, "", "error: \u{1b}[31mno\n"),
    });
    let limit = Duration::from_secs(60);
    let node = "w1".to_owned();
    let (_, told) =
        changed(&mut machine, &Request::Cluster(ClusterRequest::Drain { node: node.clone(), limit }));
    assert_eq!(told, ["w1 has no pod left that could be elsewhere"]);
    let (nothing, told) = changed(&mut machine, &Request::Cluster(ClusterRequest::DeleteNode { node }));
    assert!(!nothing.changed && told.is_empty());
    refused(
        &mut machine,
        &Request::Cluster(ClusterRequest::Nodes),
        Kind::Failed,
        "kubectl get: error: [31mno",
    );
    refused(&mut Fake::bare(), &Request::Cluster(ClusterRequest::Nodes), Kind::Failed, "kubectl get: ");
}
