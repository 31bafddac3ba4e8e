//! The tree against the definition of RFC 6962 word by word, and against another implementation of it.

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;

use super::*;

fn leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|it| it.to_be_bytes().to_vec()).collect()
}

/// All complete subtrees, as they are kept.
fn grown(leaves: &[Vec<u8>]) -> (Frontier, HashMap<(u32, u64), Hash>) {
    let mut nodes = HashMap::new();
    let mut frontier = Frontier::default();
    for bytes in leaves {
        frontier.push(leaf(bytes), |it| {
            nodes.insert((it.level, it.index), it.hash);
        });
    }
    (frontier, nodes)
}

fn proof(nodes: &HashMap<(u32, u64), Hash>, ranges: Vec<std::ops::Range<u64>>) -> Vec<Hash> {
    ranges
        .into_iter()
        .map(|range| range_hash(range, |level, index| Ok::<_, ()>(nodes[&(level, index)])).unwrap())
        .collect()
}

#[test]
fn the_tree_of_known_leaves_has_the_known_roots() {
    // The vectors of the tests of Certificate Transparency's first implementation.
    let inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    assert_eq!(
        hex(&frontier.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (input, root) in inputs.iter().zip(roots) {
        let bytes: Vec<u8> = (0..input.len() / 2)
            .map(|it| u8::from_str_radix(&input[2 * it..2 * it + 2], 16).unwrap())
            .collect();
        frontier.push(leaf(&bytes), |_| {});
        assert_eq!(hex(&frontier.root()), root, "{input}");
    }
}

#[test]
fn a_proof_has_as_many_hashes_as_the_tree_is_high() {
    for index in [0, 1, 499_999, 999_998, 999_999] {
        let path = inclusion(index, 1_000_000).unwrap();
        assert!(path.len() <= 20, "{index}: {}", path.len());
    }
    for old in [1, 2, 499_999, 524_288, 999_999] {
        let path = consistency(old, 1_000_000).unwrap();
        assert!(path.len() <= 21, "{old}: {}", path.len());
    }
    assert_eq!(inclusion(3, 3), None);
    assert_eq!(consistency(0, 3), None);
    assert_eq!(consistency(4, 3), None);
    assert_eq!(consistency(3, 3), Some(vec![]));
}

#[test]
fn of_small_trees_every_proof_holds_and_no_other_does() {
    for size in 1..=33_u64 {
        let (frontier, nodes) = grown(&leaves(size));
        let root = frontier.root();
        for index in 0..size {
            let path = proof(&nodes, inclusion(index, size).unwrap());
            let of = leaf(&index.to_be_bytes());
            assert!(is_included(&of, index, size, &path, &root));
            for other in (0..size + 2).filter(|it| *it != index) {
                assert!(
                    !is_included(&of, other, size, &path, &root),
                    "{index} as {other} of {size}"
                );
            }
        }
        for old in 1..=size {
            let before = grown(&leaves(old)).0.root();
            let path = proof(&nodes, consistency(old, size).unwrap());
            assert!(is_consistent((old, &before), (size, &root), &path));
            assert!(!is_consistent((old, &empty()), (size, &root), &path));
            assert!(!is_consistent((old, &before), (size, &empty()), &path));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_and_proofs_are_those_of_another_implementation(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..300),
        at in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let (frontier, nodes) = grown(&leaves);
        let size = leaves.len() as u64;
        let mut theirs = MemoryBackedTree::<sha2_of_oracle::Sha256, Vec<u8>>::new();
        for bytes in &leaves {
            theirs.push(bytes.clone());
        }
        let root = frontier.root();
        let their_root = theirs.root();
        prop_assert_eq!(&their_root.as_bytes()[..], &root[..]);
        let index = at.index(leaves.len());
        let path = proof(&nodes, inclusion(index as u64, size).unwrap());
        let their_path = theirs.prove_inclusion(index);
        prop_assert_eq!(their_path.as_bytes(), path.concat());
        prop_assert!(is_included(&leaf(&leaves[index]), index as u64, size, &path, &root));
        let old = to.index(leaves.len()) + 1;
        let path = proof(&nodes, consistency(old as u64, size).unwrap());
        let before = grown(&leaves[..old]).0.root();
        prop_assert!(is_consistent((old as u64, &before), (size, &root), &path));
        if old < leaves.len() {
            let their_path = theirs.prove_consistency(leaves.len() - old);
            prop_assert_eq!(their_path.as_bytes(), path.concat());
        }
    }
}
