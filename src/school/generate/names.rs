//! Common names of several languages, with what makes names hard: umlauts, accents, ß, dotless and dotted i, prefixes,
//! hyphens, apostrophes; and one family name that very many have, as in real schools.

use super::random::Random;

/// The family name that very many have.
pub(super) const COMMON: &str = "Müller";
/// How many of a hundred.
const COMMON_PERCENT: usize = 14;

const GIVEN: [&str; 72] = [
    "Anna", "Ben", "Mia", "Noah", "Leonie", "Lukas", "Emma", "Paul", "Lena", "Jonas", "Marie-Luise", "Karl-Heinz",
    "Jürgen", "Bärbel", "Björn", "Jörg", "Käthe", "Günther", "Sören", "Annegret", "Hannah", "Felix", "Clara", "Moritz",
    "Ayşe", "Elif", "Emre", "Şule", "Oğuz", "Çağla", "Ömer", "İbrahim", "Gül", "Işıl", "Mehmet", "Zeynep",
    "Łukasz", "Małgorzata", "Paweł", "Agnieszka", "Wojciech", "Zofia", "Stanisław", "Grażyna", "Kacper", "Iwona",
    "Zoë", "Chloé", "François", "Renée", "Óscar", "Lucía", "Begoña", "Giulia", "Dario", "Inès", "Grace", "Harry",
    "Amelia", "Siân", "Aoife", "Sinéad", "Oliver", "Ruby", "Søren", "Åse", "Đorđe", "Ivana", "Fatima", "Yusuf",
    "Dmytro", "Olena",
];

const FAMILY: [&str; 64] = [
    "Schmidt", "Weiß", "Groß", "Strauß", "Schröder", "Jäger", "Köhler", "Böhm", "Krüger", "Schäfer", "Keller", "Vogel",
    "Becker", "Hoffmann", "Möller", "Mueller", "Lindner", "von Berg", "von der Heide", "zu Felde", "Müller-Schön",
    "Meyer-Groß", "Schulze Althoff", "Yılmaz", "Öztürk", "Çelik", "Şahin", "Yıldırım", "Güneş", "Işık", "Aydın",
    "Kowalski", "Wójcik", "Zieliński", "Łapiński", "Dąbrowska", "Nowak", "Szymański", "Kaźmierczak", "Smith", "Brown",
    "Taylor", "O'Neill", "MacDonald", "D'Angelo", "van den Berg", "de la Cruz", "García", "Fernández", "Núñez",
    "Dubois", "Lefèvre", "Benoît", "Rossi", "Sørensen", "Åkerman", "Petrović", "Horvat", "Nguyen", "Haddad", "Ivanenko",
    "Kovalenko", "Björk", "Strand",
];

/// A given name; one in ten people has two.
pub(super) fn given(random: &mut Random) -> String {
    let first = random.pick(&GIVEN);
    if random.percent(10) { format!("{first} {}", random.pick(&GIVEN)) } else { first.to_owned() }
}

/// A family name.
pub(super) fn family(random: &mut Random) -> String {
    if random.percent(COMMON_PERCENT) { COMMON.to_owned() } else { random.pick(&FAMILY).to_owned() }
}
