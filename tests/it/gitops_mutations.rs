//! Texts that somebody damaged: whatever they are, they are read or refused, and nothing falls over.

use std::collections::BTreeMap;

use landfall::gitops::{
    document,
    render::{self, Settings},
};

const MUTATIONS: usize = 200;

/// A generator of numbers that is the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

const SAMPLES: [&str; 8] = [
    include_str!("../gitops-scalars/merges.yaml"),
    include_str!("../gitops-scalars/numbers.yaml"),
    include_str!("../gitops-scalars/texts.yaml"),
    include_str!("../gitops-scalars/tags.yaml"),
    include_str!("../gitops-scalars/several.yaml"),
    include_str!("../gitops-scalars/json.yaml"),
    include_str!("../../examples/quickstart/profile.yaml"),
    "# landfall: substitute\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"a-${NAME}\"}\ndata: {x: \"${GONE:=y}$${z}\"}\n",
];

/// What parsers stumble over.
const PIECES: [&str; 24] = [
    "&a ",
    "*a",
    "<<: ",
    "---\n",
    "...\n",
    "- ",
    "? ",
    ": ",
    "\t",
    "\r",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|2-\n",
    ">+\n",
    "!!int ",
    "!<",
    "%YAML 1.1\n",
    "${",
    "\u{feff}",
    "\\ud800",
];

fn mutate(sample: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(5) {
            0 => bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes()).for_each(drop),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + numbers.below(20)).min(bytes.len()))),
            3 => {
                let end = (at + numbers.below(60)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                bytes.splice(to..to, copied).for_each(drop);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = u8::try_from(numbers.below(256)).unwrap()),
        }
    }
    bytes
}

#[test]
fn a_damaged_text_is_read_or_refused_with_a_line_of_its_own() {
    let settings =
        Settings { substitute: BTreeMap::from([("NAME".to_owned(), "x".to_owned())]), ..Settings::default() };
    let (mut read, mut refused) = (0, 0);
    for (index, sample) in SAMPLES.iter().enumerate() {
        let mut numbers = Numbers(42 + index as u64);
        assert!(document::read(sample).is_ok(), "{sample}");
        for _ in 0..MUTATIONS {
            let text = mutate(sample.as_bytes(), &mut numbers);
            let lines = text.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
            let _ = document::read(&String::from_utf8_lossy(&text));
            match render::file("a.yaml", &text, &settings) {
                Ok(_) => read += 1,
                Err(problems) => {
                    refused += 1;
                    assert!(!problems.is_empty());
                    let good = |line: u64| (1..=lines + 1).contains(&line);
                    assert!(problems.iter().all(|p| good(p.line) && !p.message.is_empty()), "{problems:?} of {lines}");
                }
            }
        }
    }
    assert_eq!(read + refused, SAMPLES.len() * MUTATIONS);
    assert!(read > 100 && refused > 400, "{read} were read and {refused} refused: the mutations are no good");
}
