//! The headings and options that are printed on the blank form.

/// A part of the form, in the order of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Head,
    Title,
    Kit,
    SampleTypes,
    HumanDna,
    Buffer,
    Samples,
    FlowCells,
    GenomeSize,
    Coverage,
    FlowCellCount,
    Comments,
    Bioinformatics,
    Basecalling,
    Formats,
    Emails,
    Delivery,
    Note,
}

impl Section {
    /// Every section in the order of the paper.
    pub(super) const ALL: [Self; 18] = [
        Self::Head,
        Self::Title,
        Self::Kit,
        Self::SampleTypes,
        Self::HumanDna,
        Self::Buffer,
        Self::Samples,
        Self::FlowCells,
        Self::GenomeSize,
        Self::Coverage,
        Self::FlowCellCount,
        Self::Comments,
        Self::Bioinformatics,
        Self::Basecalling,
        Self::Formats,
        Self::Emails,
        Self::Delivery,
        Self::Note,
    ];

    /// The headings that begin the section, as keys.
    pub(super) fn headings(self) -> &'static [&'static str] {
        match self {
            Self::Head => &["formassociatedwith"],
            Self::Title => &["htsfnanoporesubmissionform"],
            Self::Kit => &["iwillbesubmittingdnafor"],
            Self::SampleTypes => &["typeofsample"],
            Self::HumanDna => &["dothesesamplescontainhumandna"],
            Self::Buffer => &["samplebuffer"],
            Self::Samples => &["sampleinformation"],
            Self::FlowCells => &["flowcellselection"],
            Self::GenomeSize => &[
                "approxtranscriptomesize",
                "approxgenomesize",
                "approxgenometranscriptomesize",
            ],
            Self::Coverage => &["approxcoverageneeded"],
            Self::FlowCellCount => &["estimatednumberofflowcells"],
            Self::Comments => &["additionalcommentsspecialneeds"],
            Self::Bioinformatics => &["bioinformaticsanddatadelivery"],
            Self::Basecalling => &["iwouldlikemydatatobebasecalledusing"],
            Self::Formats => &["fileformat"],
            Self::Emails => &["datadeliverynotificationemailaddresses"],
            Self::Delivery => &["howwouldyouliketoretrieveyourdatafromhtsf"],
            Self::Note => &["note"],
        }
    }

    /// The options that the blank form offers, as keys.
    pub(super) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Kit => &[
                "ligationsequencingsqklsk114",
                "ligationsequencingwithbarcodingsqknbd11496",
                "rapidsequencingsqkrad114",
                "rapidsequencingwithbarcodingsqkrbk11424",
            ],
            Self::SampleTypes => &[
                "highmolecularweightdnagdna",
                "fragmenteddna",
                "pcramplicons",
                "cdna",
            ],
            Self::HumanDna => &["yes", "no"],
            Self::Buffer => &["eb", "nucleasefreewater"],
            Self::FlowCells => &["minionflowcell", "promethionflowcell"],
            Self::Basecalling => &[
                "hachighaccuracyusuallysufficientformostapplications",
                "supsuperhighaccuracycomputingintensiveandmayadd12weekstodatadelivery",
                "methylation",
            ],
            Self::Formats => &[
                "fastqbam",
                "pod5onlynecessaryifyouwishtodobasecallingonyourown",
            ],
            Self::Delivery => &[
                "delivermydatatoitsresearchcomputingstorageproj",
                "providemewithaurltodownloadmydataviatheweb",
                "prearrangeddatadeliverymethodforthisproject",
                "other",
            ],
            _ => &[],
        }
    }

    /// The section's field in the form; empty for headings that hold none.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Head | Self::Title | Self::Bioinformatics | Self::Note => "",
            Self::Kit => "kit",
            Self::SampleTypes => "sample_types",
            Self::HumanDna => "human_dna",
            Self::Buffer => "buffer",
            Self::Samples => "samples",
            Self::FlowCells => "flow_cells",
            Self::GenomeSize => "genome_size",
            Self::Coverage => "coverage",
            Self::FlowCellCount => "flow_cell_count",
            Self::Comments => "comments",
            Self::Basecalling => "basecalling",
            Self::Formats => "formats",
            Self::Emails => "emails",
            Self::Delivery => "delivery",
        }
    }
}

/// Letters and digits in lower case: what two prints of one label have in common.
pub(crate) fn key(text: &str) -> String {
    text.chars()
        .filter(|symbol| symbol.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .map(|symbol| {
            if symbol == 'µ' || symbol == 'μ' {
                'u'
            } else {
                symbol
            }
        })
        .collect()
}
