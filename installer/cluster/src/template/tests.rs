use proptest::prelude::*;

use super::*;

fn data() -> Value {
    Value::map([
        ("Version", "v1.14.1".into()),
        ("VIP", "10.103.97.2".into()),
        ("Masters", Value::texts(["192.168.0.2", "192.168.0.3", "192.168.0.4"])),
        ("None", Value::List(Vec::new())),
        ("Network", "calico".into()),
        ("Empty", "".into()),
        ("Yes", Value::Bool(true)),
        ("Count", Value::Int(3)),
        ("A", Value::map([("B", Value::map([("C", "deep".into())]))])),
    ])
}

fn rendered(template: &str) -> String {
    render(template, &data()).unwrap_or_else(|error| panic!("{template:?}: {error}"))
}

/// The template of the article that announced sealos, word for word, and what kubeadm is to read.
const SEED: &str = r#"apiVersion: kubeadm.k8s.io/v1beta1
kind: ClusterConfiguration
kubernetesVersion: {{.Version}}
controlPlaneEndpoint: "apiserver.cluster.local:6443"
networking:
  podSubnet: 100.64.0.0/10
apiServer:
        certSANs:
        - sealyun.com # 这是新增的域名
        - 127.0.0.1
        - apiserver.cluster.local
        {{range .Masters -}}
        - {{.}}
        {{end -}}
        - {{.VIP}}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: "ipvs"
ipvs:
        excludeCIDRs: 
        - "{{.VIP}}/32"
"#;

const SEED_RENDERED: &str = r#"apiVersion: kubeadm.k8s.io/v1beta1
kind: ClusterConfiguration
kubernetesVersion: v1.14.1
controlPlaneEndpoint: "apiserver.cluster.local:6443"
networking:
  podSubnet: 100.64.0.0/10
apiServer:
        certSANs:
        - sealyun.com # 这是新增的域名
        - 127.0.0.1
        - apiserver.cluster.local
        - 192.168.0.2
        - 192.168.0.3
        - 192.168.0.4
        - 10.103.97.2
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: "ipvs"
ipvs:
        excludeCIDRs: 
        - "10.103.97.2/32"
"#;

#[test]
fn the_template_of_sealos_is_filled_byte_for_byte() {
    assert_eq!(rendered(SEED), SEED_RENDERED);
}

/// Each as Go 1.19 has it; the expected bytes follow from <https://pkg.go.dev/text/template>.
const AS_GO: &[(&str, &str)] = &[
    ("", ""),
    ("no action", "no action"),
    ("{{.VIP}}", "10.103.97.2"),
    ("{{ .VIP }}", "10.103.97.2"),
    ("{{\n.VIP\n}}", "10.103.97.2"),
    ("{ {.VIP} }}", "{ {.VIP} }}"),
    ("a}}b", "a}}b"),
    ("{{.A.B.C}}", "deep"),
    ("{{$.A.B.C}}", "deep"),
    // The example of the documentation: 23<45.
    (r#"{{"23" -}} < {{- "45"}}"#, "23<45"),
    ("{{23 -}} < {{- 45}}", "23<45"),
    ("{{-3}}", "-3"),
    ("a {{-3}}", "a -3"),
    ("a {{- 3}}", "a3"),
    ("a \t\r\n{{- 3 -}} \t\r\n b", "a3b"),
    ("a\u{a0}{{- 3}}", "a\u{a0}3"),
    ("{{3 -}} {{- 4}}", "34"),
    ("{{3 -}} x {{- 4}}", "3x4"),
    ("a {{- \n3\n -}} b", "a3b"),
    // Comments.
    ("a{{/* a comment */}}b", "ab"),
    ("a {{- /* a comment with white space trimmed from preceding and following text */ -}} b", "ab"),
    ("a{{/* \n {{.VIP}} \n */}}b", "ab"),
    ("a {{/* x */ -}} b", "a b"),
    ("a{{/**/}}b", "ab"),
    // Texts and numbers.
    (r#"{{"output"}}"#, "output"),
    (r#"{{"a\tb\n\\\"\u00e9\r"}}"#, "a\tb\n\\\"é\r"),
    (r#"{{`"output"\n`}}"#, "\"output\"\\n"),
    ("{{`a\r\nb}}`}}", "a\nb}}"),
    ("{{true}} {{false}}", "true false"),
    ("{{12}} {{+7}} {{0}}", "12 7 0"),
    ("{{.Masters}}", "[192.168.0.2 192.168.0.3 192.168.0.4]"),
    ("{{.None}}", "[]"),
    ("{{.A}}", "map[B:map[C:deep]]"),
    // Conditions.
    ("{{if .Yes}}T1{{end}}", "T1"),
    ("{{if .Empty}}T1{{else}}T0{{end}}", "T0"),
    ("{{if .Empty}}T1{{else if .Yes}}T2{{else}}T0{{end}}", "T2"),
    ("{{if .Empty}}1{{else if .None}}2{{else if 0}}3{{else if false}}4{{else}}5{{end}}", "5"),
    ("{{if .Empty}}T1{{end}}", ""),
    ("{{if .A}}yes{{end}}{{if .Count}} yes{{end}}", "yes yes"),
    (r#"{{if eq .Network "cilium"}}cilium{{else}}other{{end}}"#, "other"),
    (r#"{{if eq .Network "cilium" "calico"}}known{{end}}"#, "known"),
    (r#"{{if ne .Network "cilium"}}not cilium{{end}}"#, "not cilium"),
    (r#"{{if (eq .Network "calico")}}calico{{end}}"#, "calico"),
    (r#"{{if and (eq .Network "calico") (not .Empty)}}both{{end}}"#, "both"),
    (r"{{eq 3 .Count}} {{ne 3 .Count}} {{eq true .Yes}}", "true false true"),
    (r"{{and .Network .Yes}} {{and .Network .Empty .Yes}}.", "true ."),
    (r"{{or .Empty .Network}} {{or .Empty 0}}", "calico 0"),
    ("{{not .Yes}} {{not 0}} {{not (not .Empty)}}", "false true false"),
    // With.
    (r"{{with .A}}{{.B.C}}{{end}}", "deep"),
    (r"{{with .Empty}}T1{{else}}{{.VIP}}{{end}}", "10.103.97.2"),
    (r#"{{with "output"}}{{.}}{{$.VIP}}{{end}}"#, "output10.103.97.2"),
    // Loops.
    ("{{range .Masters}}[{{.}}]{{end}}", "[192.168.0.2][192.168.0.3][192.168.0.4]"),
    ("{{range .None}}x{{else}}none{{end}}", "none"),
    ("{{range .None}}x{{end}}", ""),
    (
        "{{range $m := .Masters}}{{$m}}={{.}} {{end}}",
        "192.168.0.2=192.168.0.2 192.168.0.3=192.168.0.3 192.168.0.4=192.168.0.4 ",
    ),
    (
        "{{range $i, $m := .Masters}}{{if $i}},{{end}}{{$m}}:6443{{end}}",
        "192.168.0.2:6443,192.168.0.3:6443,192.168.0.4:6443",
    ),
    ("{{range $i,$m:=.Masters}}{{$i}}{{end}}", "012"),
    (
        "{{range $i, $m := .Masters}}{{if eq $i 0}}first{{else}} then {{$m}}{{end}}{{end}}",
        "first then 192.168.0.3 then 192.168.0.4",
    ),
    ("{{range $k, $v := .A}}{{$k}}={{$v.C}}{{end}}", "B=deep"),
    ("{{range .A}}{{.C}}{{end}}", "deep"),
    ("{{range $x := .Masters}}{{range $x := $.A.B}}{{$x}}{{end}}{{end}}", "deepdeepdeep"),
    (
        "{{range .Masters -}}\n- {{.}}\n{{end -}}\n- {{.VIP}}\n",
        "- 192.168.0.2\n- 192.168.0.3\n- 192.168.0.4\n- 10.103.97.2\n",
    ),
    ("{{range .Masters}}\n- {{.}}\n{{- end}}\n", "\n- 192.168.0.2\n- 192.168.0.3\n- 192.168.0.4\n"),
    ("{{range .Masters}}{{$.VIP}} {{end}}", "10.103.97.2 10.103.97.2 10.103.97.2 "),
];

#[test]
fn what_is_accepted_gives_what_go_gives() {
    for (template, expected) in AS_GO {
        assert_eq!(rendered(template), *expected, "{template:?}");
    }
}

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    for (template, expected) in [
        ("{{", "line 1, column 1: this `{{` has no `}}`"),
        ("a\n  b {{.VIP", "line 2, column 5: this `{{` has no `}}`"),
        ("{{}}", "line 1, column 3: a value is missing"),
        ("{{/* x", "line 1, column 1: the comment has no end, `*/}}`"),
        (
            "{{/* x */ .VIP}}",
            "line 1, column 10: a comment stands alone: after its `*/` comes `}}` or ` -}}`",
        ),
        (
            "域名 {{.Vip}}",
            "line 1, column 6: there is no variable `.Vip`; there are .A, .Count, .Empty, .Masters, .Network, .None, \
             .VIP, .Version, .Yes",
        ),
        ("{{.A.X}}", "line 1, column 3: there is no variable `.X`; there are .B"),
        ("{{.VIP.X}}", "line 1, column 3: `.X` is a part of a group of variables, and this is a text"),
        (
            "{{range .Masters}}{{.VIP}}{{end}}",
            "line 1, column 21: `.VIP` is a part of a group of variables, and this is a text",
        ),
        ("{{if .Yes}}x", "line 1, column 1: this `if` has no `{{end}}`"),
        ("{{range .Masters}}{{else}}x", "line 1, column 1: this `range` has no `{{end}}`"),
        ("{{with .A}}", "line 1, column 1: this `with` has no `{{end}}`"),
        ("{{if}}x{{end}}", "line 1, column 5: the condition of `if` is missing"),
        ("{{range}}x{{end}}", "line 1, column 8: the list of `range` is missing"),
        ("x{{end}}", "line 1, column 2: `end` without an `if`, `with` or `range`"),
        ("x{{else}}", "line 1, column 2: `else` without an `if`, `with` or `range`"),
        ("{{if .Yes}}{{else}}{{else}}{{end}}", "line 1, column 20: a second `else` of one `if`"),
        ("{{if .Yes}}{{end .VIP}}", "line 1, column 18: `end` stands alone"),
        ("{{range .Masters}}{{else if .Yes}}{{end}}", "line 1, column 26: `else` stands alone"),
        ("{{range .VIP}}{{end}}", "line 1, column 9: `range` goes over a list, and this is a text"),
        (
            "{{.VIP | printf}}",
            "line 1, column 8: `|` is not supported here: write the function first, `not .A`",
        ),
        ("{{printf .VIP}}", "line 1, column 3: `printf` is not known; functions are and, or, not, eq and ne"),
        (
            "{{template \"x\"}}",
            "line 1, column 3: `template` is not known; functions are and, or, not, eq and ne",
        ),
        ("{{eq .VIP}}", "line 1, column 3: `eq` takes 2 or more values, and has 1"),
        ("{{not}}", "line 1, column 3: `not` takes 1 values, and has 0"),
        ("{{ne 1 2 3}}", "line 1, column 3: `ne` takes 2 values, and has 3"),
        ("{{and eq 1 2}}", "line 1, column 7: `eq` within another function stands in parentheses: `(eq ..)`"),
        ("{{eq .VIP 3}}", "line 1, column 11: a text and a number cannot be compared"),
        ("{{eq .None .None}}", "line 1, column 12: a list and a list cannot be compared"),
        ("{{(eq 1 2}}", "line 1, column 10: a `)` is missing"),
        ("{{eq 1 2)}}", "line 1, column 9: a `)` without its `(`"),
        ("{{.VIP .VIP}}", "line 1, column 8: what takes values is a function, such as `eq`"),
        ("{{$x}}", "line 1, column 3: there is no variable `$x`"),
        ("{{range $x := .Masters}}{{else}}{{$x}}{{end}}", "line 1, column 35: there is no variable `$x`"),
        ("{{range $x := .Masters}}{{end}}{{$x}}", "line 1, column 34: there is no variable `$x`"),
        ("{{$x := .VIP}}", "line 1, column 3: there is no variable `$x`"),
        ("{{$ = .VIP}}", "line 1, column 5: variables cannot be set here"),
        (
            "{{$ := .VIP}}",
            "line 1, column 5: only `range` makes variables here: `{{range $index, $item := .List}}`",
        ),
        ("{{\"x}}", "line 1, column 3: the text has no end, a second \" on the same line"),
        ("{{\"x\ny\"}}", "line 1, column 3: the text has no end, a second \" on the same line"),
        ("{{`x}}", "line 1, column 3: the text has no end, a second `"),
        (
            r#"{{"\q"}}"#,
            r#"line 1, column 4: this escape is not known; there are \n, \t, \r, \\, \" and \u1234"#,
        ),
        (
            r#"{{"\ud800"}}"#,
            r#"line 1, column 4: this escape is not known; there are \n, \t, \r, \\, \" and \u1234"#,
        ),
        ("{{010}}", "line 1, column 3: `010` is no decimal number"),
        ("{{99999999999999999999}}", "line 1, column 3: `99999999999999999999` is no decimal number"),
        ("{{-}}", "line 1, column 3: `-` is no decimal number"),
        ("{{.5}}", "line 1, column 3: numbers are whole here"),
        ("{{.VIP-}}", "line 1, column 7: after `.VIP` there is no blank"),
        ("{{eq .A\"b\"}}", "line 1, column 8: after `.A` there is no blank"),
        ("{{eq (eq 1 2).VIP 1}}", "line 1, column 14: after `)` there is no blank"),
        ("{{eq(1) 2}}", "line 1, column 5: after `eq` there is no blank"),
        ("{{'x'}}", "line 1, column 3: `\\'` means nothing here"),
        ("{{\u{1b}[2J}}", "line 1, column 3: `\\u{1b}` means nothing here"),
    ] {
        let error = render(template, &data()).expect_err(template);
        assert_eq!(error.to_string(), expected, "{template:?}");
    }
}

#[test]
fn neither_depth_nor_length_nor_time_is_without_end() {
    let nested = |open: &str, close: &str, times| open.repeat(times) + &close.repeat(times);
    let refused = |template: &str| render(template, &data()).unwrap_err().why;
    assert_eq!(rendered(&nested("{{if .Yes}}", "{{end}}", 32)), "");
    for template in [
        nested("{{if .Yes}}", "{{end}}", 33),
        nested("{{if .Yes}}", "{{end}}", 20_000),
        format!("{{{{{}1{}}}}}", "(".repeat(40), ")".repeat(40)),
        format!("{{{{{}}}}}", "(not ".repeat(50_000)),
    ] {
        assert_eq!(refused(&template), "more than 32 are nested in each other");
    }
    let branches = "{{if .Empty}}1".to_owned() + &"{{else if .Empty}}2".repeat(20_000) + "{{end}}";
    assert_eq!(rendered(&branches), "");
    assert_eq!(
        refused(&nested("{{range .Masters}}", "{{end}}", 30).replace(".Masters", "$.Masters")),
        "it comes to more than 1000000 pieces"
    );
    let text = format!("{}{}{}", "{{range $.Masters}}".repeat(8), "x".repeat(10_000), "{{end}}".repeat(8));
    assert_eq!(refused(&text), "it comes to more than 4096 KiB");
    assert_eq!(refused(&"x".repeat(MAX_TEMPLATE_BYTES + 1)), "the template is longer than 1024 KiB");
}

proptest! {
    #[test]
    fn a_text_without_actions_is_left_alone(text in "[^{]{0,200}") {
        prop_assert_eq!(render(&text, &data()).unwrap(), text);
    }

    #[test]
    fn no_text_does_harm(text in ".{0,60}") {
        let _ = render(&format!("{{{{{text}"), &data());
    }

    #[test]
    fn no_pieces_do_harm(pieces in proptest::collection::vec(prop::sample::select(&[
        "{{", "}}", "{{- ", " -}}", "-", ".", "$", "$x", ",", ":=", "=", "(", ")", "|", "\"", "`", "\\", "/*", "*/", "0", "7", " ", "\n",
        "if", "else", "end", "range", "with", "eq", "and", "not", "true", ".VIP", ".Masters", ".A.B", "é", "\u{0}",
    ][..]), 0..60)) {
        let text = pieces.concat();
        if let Err(error) = render(&text, &data()) {
            prop_assert!(error.line <= text.lines().count() + 1, "{}", error);
        }
    }
}
