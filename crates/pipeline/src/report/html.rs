//! A writer of HTML into which nothing gets unescaped by mistake: markup is only ever a literal of this program.
//!
//! There is no template engine: the page is made in one place, and here the type system knows text from markup.

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String, Suffix);

/// What is put behind the ids of the second release on a page, so that no two are the same.
type Suffix = Option<usize>;

impl Html {
    /// What follows is about the n-th release on the page, from 0.
    pub(super) fn about(&mut self, n: usize) {
        self.1 = (n > 0).then_some(n + 1);
    }

    /// The id of an element, within this release.
    pub(super) fn id(&mut self, name: &'static str) -> &mut Self {
        self.raw(name);
        match self.1 {
            Some(n) => self.text(&format!("-{n}")),
            None => self,
        }
    }

    /// Markup, as it stands in the source.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of any origin.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in super::words::clean(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A number with at most one decimal, as coordinates need it.
    pub(super) fn number(&mut self, number: f64) -> &mut Self {
        let rounded = (number * 10.0).round() / 10.0;
        // `-0` would be another text for the same place.
        self.text(&(if rounded == 0.0 { 0.0 } else { rounded }).to_string())
    }

    /// An element with a class and text.
    pub(super) fn element(&mut self, tag: &'static str, class: &'static str, text: &str) -> &mut Self {
        self.raw("<").raw(tag);
        if !class.is_empty() {
            self.raw(" class=\"").raw(class).raw("\"");
        }
        self.raw(">").text(text).raw("</").raw(tag).raw(">")
    }

    /// A value that a program reads from a `script` element: JSON in which nothing can end the element.
    pub(super) fn json(&mut self, json: &str) -> &mut Self {
        for c in json.chars() {
            match c {
                '<' => self.0.push_str("\\u003c"),
                '>' => self.0.push_str("\\u003e"),
                '&' => self.0.push_str("\\u0026"),
                '\u{2028}' => self.0.push_str("\\u2028"),
                '\u{2029}' => self.0.push_str("\\u2029"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A table; the first column names the row.
    pub(super) fn table(&mut self, caption: &str, head: &[&'static str], rows: &[Vec<Cell>]) -> &mut Self {
        self.raw("<div class=\"scroll\"><table>\n").element("caption", "", caption).raw("<thead><tr>");
        for (index, title) in head.iter().enumerate() {
            // A heading stands above its numbers.
            let class = rows.first().and_then(|row| row.get(index)).map_or("", |cell| cell.class);
            let class = if class.starts_with("num") { "num" } else { "" };
            self.raw("<th scope=\"col\" class=\"").raw(class).raw("\">").raw(title).raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (index, cell) in row.iter().enumerate() {
                let (open, close) = if index == 0 {
                    ("<th scope=\"row\" class=\"", "</th>")
                } else {
                    ("<td class=\"", "</td>")
                };
                self.raw(open).raw(cell.class).raw("\">").text(&cell.text).raw(close);
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table></div>\n")
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A cell of a table.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    class: &'static str,
}

/// Plain text.
pub(super) fn cell(text: impl Into<String>) -> Cell {
    styled(text, "")
}

/// Text with a class: `num`, `code`, `good`, `bad`, `dim`.
pub(super) fn styled(text: impl Into<String>, class: &'static str) -> Cell {
    Cell { text: text.into(), class }
}
