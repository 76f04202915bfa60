# Draws a recorded session of the demo as a picture that moves (SVG, with SMIL). It knows of a terminal
# what the demo uses: CR, LF, "erase to the end of the line", bold, red and green.
#
# Input: what was written to the terminal. timing: lines of seconds and bytes, by script(1).

BEGIN {
    STEP = 0.25
    ROW = 18
    while ((getline line < timing) > 0) chunks[++chunk_count] = line
    # One record: all of it.
    RS = "\001"
}

# The first line is of script(1), and is in no chunk.
{ written = substr($0, index($0, "\n") + 1) }

END {
    row = 0
    for (n = 1; n <= chunk_count; n++) {
        split(chunks[n], pair, " ")
        clock += pair[1]
        # What stood there at the end of each step that is over.
        for (; started && steps * STEP <= clock - start; steps++) look(steps)
        chunk = substr(written, at + 1, pair[2])
        if (chunk ~ /Removing/) break
        rest = take(rest chunk)
        at += pair[2]
    }
    look(steps)
    draw(steps * STEP)
}

# Feeds the terminal, and returns the beginning of a sequence whose end has not come yet. The picture begins with the line that says who has the IP.
function take(text,    i, c, code) {
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\r") fresh = 1
        else if (c == "\n") { row++; fresh = 1 }
        else if (c == "\033") {
            if (!match(substr(text, i), /^\033\[[0-9;]*[A-Za-z]/)) return substr(text, i)
            code = substr(text, i + 2, RLENGTH - 2)
            i += RLENGTH - 1
            if (code ~ /m$/) put("\033" code)
            else if (fresh) { screen[row] = ""; fresh = 0 }
        }
        else put(c)
    }
    if (!started && screen[row - 1] ~ /has it/) {
        started = 1; start = clock; first = row - 1
    }
    return ""
}

# Who writes at the beginning of a line writes all of it.
function put(what) {
    if (fresh) { screen[row] = ""; fresh = 0 }
    screen[row] = screen[row] what
}

# Notes what has changed since the last step.
function look(step,    r) {
    for (r = first; r <= row; r++)
        if (screen[r] != shown[r]) {
            if (shown[r] != "") until[r, count[r]] = step
            count[r]++
            shown[r] = content[r, count[r]] = screen[r]
            since[r, count[r]] = step
            until[r, count[r]] = -1
        }
}

function draw(length_,    r, i, width, height) {
    width = int(columns * 7.83) + 32
    height = (row - first + 1) * ROW + 56
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\">\n", width, height, width
    print "<style>text{font:13px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d4d4d4;white-space:pre}" \
        ".b{font-weight:bold;fill:#fff}.r{fill:#f66}.g{fill:#6c6}</style>"
    printf "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#1b1f27\">" \
        "<set id=\"a\" attributeName=\"ry\" to=\"8\" begin=\"0s;a.end\" dur=\"%ss\"/></rect>\n", length_ + 4
    print "<text class=\"b\" x=\"16\" y=\"28\">$ sudo ./start.sh</text>"
    for (r = first; r <= row; r++)
        for (i = 1; i <= count[r]; i++)
            if (content[r, i] != "") text_(r, i)
    print "</svg>"
}

# A text is seen for its time. The last ones are also seen where nothing moves.
function text_(r, i,    y, begin, end) {
    y = (r - first) * ROW + 52
    begin = since[r, i] * STEP
    end = until[r, i] * STEP
    if (end < 0 && begin == 0)
        printf "<text x=\"16\" y=\"%d\">%s</text>\n", y, marked(content[r, i])
    else if (end < 0)
        printf "<text x=\"16\" y=\"%d\">%s<set attributeName=\"visibility\" to=\"hidden\" begin=\"a.begin\" dur=\"%ss\"/></text>\n",
            y, marked(content[r, i]), begin
    else
        printf "<text x=\"16\" y=\"%d\" visibility=\"hidden\">%s<set attributeName=\"visibility\" to=\"visible\" begin=\"a.begin+%ss\" dur=\"%ss\"/></text>\n",
            y, marked(content[r, i]), begin, end - begin
}

# The text of a line, with its colours.
function marked(text,    out, parts, n, i, code, rest, class) {
    n = split(substr(text, 1), parts, "\033")
    out = escaped(parts[1])
    for (i = 2; i <= n; i++) {
        match(parts[i], /^[0-9;]*m/)
        code = substr(parts[i], 1, RLENGTH - 1)
        rest = escaped(substr(parts[i], RLENGTH + 1))
        class = code == "1" ? "b" : code == "31" ? "r" : code == "32" ? "g" : ""
        if (rest != "") out = out (class ? "<tspan class=\"" class "\">" rest "</tspan>" : rest)
    }
    return out
}

function escaped(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}
