//! Texts as people write them, as far as an index can tell: words by Zipf's law, Korean ones with endings.

/// Words of each language. A person's own vocabulary has some 20,000.
const WORDS: u64 = 20_000;
/// Characters of a message.
const CHARS: std::ops::Range<u64> = 20..61;
/// The syllables that Korean is mostly written with, the commonest first, and what words end with.
const SYLLABLES: &str = "이다는에을의가고하지로한어기사도나자은리서아시를대인해정일그수게과보만부라들전상구주여제안있소것면장니관동공원경성신우화조방생적용물음모세실말문거중교물분학유무회국력계연오내위진마람스금러살때터달치저년점각발비심미결야건양단선작행약간불산차명식집체업민직표두임속감통당입권박후천습영급순강천남반종포북특태름책판파형백월란손길날식품바람꽃돈숲눈별밤봄잔콩팔컵옷춤침땀";
const ENDINGS: [&str; 24] = [
    "",
    "을",
    "는",
    "이",
    "에",
    "가",
    "를",
    "은",
    "도",
    "에서",
    "로",
    "했어",
    "하고",
    "해요",
    "하자",
    "의",
    "과",
    "만",
    "까지",
    "할게",
    "했는데",
    "인데",
    "부터",
    "합니다",
];
const LETTERS: &str = "etaoinshrdlucmfwypvbgkjqxz";

/// How often a word is used.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rank {
    /// One of the first 50.
    Common,
    /// One of the next 2,000.
    Middling,
    /// One of the last 10,000.
    Rare,
}

/// Draws texts.
pub(crate) struct Texts {
    state: u64,
    korean: Vec<String>,
    english: Vec<String>,
    /// The weight of the words up to each.
    weights: Vec<f64>,
}

impl Texts {
    pub(crate) fn new(seed: u64) -> Self {
        let mut texts = Self { state: seed, korean: Vec::new(), english: Vec::new(), weights: Vec::new() };
        let syllables: Vec<char> = SYLLABLES.chars().collect();
        let letters: Vec<char> = LETTERS.chars().collect();
        let mut weight = 0.0;
        for rank in 0..WORDS {
            weight += 1.0 / (rank + 1) as f64;
            texts.weights.push(weight);
            let length = 1 + texts.below(3) + u64::from(rank > 50);
            let korean = (0..length).map(|_| texts.skewed(&syllables)).collect();
            let length = 2 + texts.below(4) + texts.below(4) + u64::from(rank > 50);
            let english = (0..length).map(|_| texts.skewed(&letters)).collect();
            texts.korean.push(korean);
            texts.english.push(english);
        }
        texts
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    fn part(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of these, the first of them oftenest.
    fn skewed(&mut self, chars: &[char]) -> char {
        let part = self.part();
        chars[(part * part * chars.len() as f64) as usize]
    }

    fn zipf(&mut self) -> usize {
        let weight = self.part() * self.weights.last().expect("words");
        self.weights.partition_point(|below| *below < weight).min(self.weights.len() - 1)
    }

    fn english(&mut self) -> String {
        let word = self.zipf();
        self.english[word].clone()
    }

    fn korean(&mut self) -> String {
        let word = self.zipf();
        let part = self.part();
        let ending = ENDINGS[(part * part * ENDINGS.len() as f64) as usize];
        format!("{}{ending}", self.korean[word])
    }

    /// A text of 20 to 60 characters.
    pub(crate) fn message(&mut self) -> String {
        let length = CHARS.start + self.below(CHARS.end - CHARS.start);
        let kind = self.below(4);
        let mut text = String::new();
        let mut chars = 0;
        while chars < length {
            let in_english = match kind {
                0 => true,
                1 => self.below(2) == 0,
                _ => false,
            };
            let word = if in_english { self.english() } else { self.korean() };
            if chars > 0 {
                text.push(' ');
            }
            text.push_str(&word);
            chars = text.chars().count() as u64;
        }
        text.chars().take(usize::try_from(length).expect("60 at most")).collect()
    }

    /// A word of either language.
    pub(crate) fn word(&mut self, rank: Rank) -> String {
        let word = match rank {
            Rank::Common => self.below(50),
            Rank::Middling => 50 + self.below(2_000),
            Rank::Rare => WORDS - 1 - self.below(10_000),
        };
        let word = usize::try_from(word).expect("20,000 words");
        if self.below(2) == 0 { self.english[word].clone() } else { self.korean[word].clone() }
    }

    /// What is in no text.
    pub(crate) fn absent(&mut self) -> String {
        let number = self.draw();
        if number.is_multiple_of(2) {
            format!("{number:x}")
        } else {
            format!("뷁{}쀍", ENDINGS[1 + number as usize % 23])
        }
    }

    /// One of Hangul's syllables, common or not.
    pub(crate) fn syllable(&mut self) -> String {
        let syllables: Vec<char> = SYLLABLES.chars().collect();
        syllables[usize::try_from(self.below(syllables.len() as u64)).expect("some 300")].to_string()
    }
}
