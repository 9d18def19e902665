use zeroize::Zeroizing;

use crate::error::Problem;
use crate::tree::Tree;

/// Deepest nesting of names (`A.B.0.C`). The API has seven: `MixLayoutParams.WaterMarkList.0.WaterMarkImage.Top`, and
/// room for two more.
const MAX_DEPTH: usize = 9;

/// `name=value` pairs in their order, decoded. Names and values are as secret as a request.
pub(crate) type Pairs = Vec<(Zeroizing<String>, Zeroizing<String>)>;

/// Reads `application/x-www-form-urlencoded`: a query, or the body of an old-style `POST`.
pub(crate) fn pairs(text: &str) -> Result<Pairs, Problem> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<Zeroizing<String>, Problem> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or(Problem::NotForm);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).expect("two hexadecimal digits")
            }
            other => other,
        });
    }
    std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| Problem::NotForm)
}

/// The nested form of flat names: `A.B=1&A.C.0=x` as `{A: {B: 1, C: {0: x}}}`.
pub(crate) fn nest<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Tree, Problem> {
    let mut sorted: Vec<(Vec<&str>, &str)> = Vec::new();
    for (name, value) in pairs {
        let steps: Vec<&str> = name.split('.').collect();
        if steps.len() > MAX_DEPTH || steps.iter().any(|step| step.is_empty()) {
            return Err(Problem::NotForm);
        }
        sorted.push((steps, value));
    }
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    level(&sorted, 0)
}

/// The object of those members that share their first `depth` steps.
fn level(members: &[(Vec<&str>, &str)], depth: usize) -> Result<Tree, Problem> {
    let mut object = Vec::new();
    for group in members.chunk_by(|a, b| a.0.get(depth) == b.0.get(depth)) {
        let Some((steps, value)) = group.first() else { continue };
        // A name that ends here while others go on is both a text and an object.
        let Some(step) = steps.get(depth) else { return Err(Problem::Repeated) };
        let tree = match group {
            [_] if steps.len() == depth + 1 => Tree::FormText(Zeroizing::new((*value).to_owned())),
            _ => level(group, depth + 1)?,
        };
        object.push((Box::from(*step), tree));
    }
    Ok(Tree::FormObject(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Problem> {
        Ok(pairs(text)?.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn forms_are_decoded_or_refused() {
        assert_eq!(read("").unwrap(), []);
        assert_eq!(
            read("a=b%20c+d&&e=%E6%88%BF=").unwrap(),
            [("a".into(), "b c d".into()), ("e".into(), "房=".into())]
        );
        assert_eq!(read("a").unwrap(), [("a".into(), String::new())]);
        for bad in ["a=%", "a=%2", "a=%zz", "a=%FF", "a=%+1"] {
            assert!(matches!(read(bad), Err(Problem::NotForm)), "{bad}");
        }
    }

    #[test]
    fn names_nest_or_are_refused() {
        for (bad, repeated) in [
            (&["a", "a"][..], true),
            (&["a", "a.b"], true),
            (&["a.b", "a"], true),
            (&["a..b"], false),
            (&["."], false),
            (&["a.b.c.d.e.f.g.h.i.j"], false),
        ] {
            let problem = nest(bad.iter().map(|name| (*name, ""))).err();
            assert_eq!(problem, Some(if repeated { Problem::Repeated } else { Problem::NotForm }), "{bad:?}");
        }
        assert!(nest([("a.b.0.c", "1"), ("a.b.1.c", "2"), ("z", "")].into_iter()).is_ok());
    }
}
