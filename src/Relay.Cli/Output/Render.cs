using Spectre.Console;

namespace Relay.Cli.Output;

/// <summary>Where results go: data on stdout (a table, or the API's own JSON), everything else on stderr.</summary>
internal sealed class Render(bool json, TextWriter output, TextWriter error)
{
    /// <summary>True with <c>--output json</c>: stdout then carries JSON and nothing else.</summary>
    public bool Json { get; } = json;

    public TextWriter Out { get; } = output;

    public TextWriter Error { get; } = error;

    /// <summary>Prints the API's answer as it is, or the rows of it as a table.</summary>
    public void Table<T>(string rawJson, IReadOnlyCollection<T> rows, string whenEmpty, params Column<T>[] columns)
    {
        if (Json)
        {
            Out.WriteLine(rawJson);
            return;
        }
        if (rows.Count == 0)
        {
            Error.WriteLine(whenEmpty);
            return;
        }
        var table = new Table { Border = TableBorder.Square, UseSafeBorder = false };
        foreach (var column in columns)
            table.AddColumn(new TableColumn(new Text(column.Title)) { NoWrap = true });
        foreach (var row in rows)
            table.AddRow(columns.Select(c => new Text(Printable(c.Value(row)))));
        Write(table);
    }

    /// <summary>Prints one thing as "NAME  value" lines.</summary>
    public void Details(string rawJson, params (string Name, string? Value)[] fields)
    {
        if (Json)
        {
            Out.WriteLine(rawJson);
            return;
        }
        var width = fields.Max(f => f.Name.Length);
        foreach (var (name, value) in fields)
            Out.WriteLine($"{name.PadRight(width)}  {Printable(value ?? "-")}");
    }

    /// <summary>A sentence about what was done; with JSON output the API's answer instead.</summary>
    public void Done(string rawJson, string sentence) => Out.WriteLine(Json ? rawJson : sentence);

    /// <summary>Names and descriptions are other people's text: control characters must not reach the terminal.</summary>
    public static string Printable(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? '\uFFFD' : c)) : text;

    private void Write(Table table)
    {
        // Piped output is not wrapped to a terminal that is not there.
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(Out),
        });
        if (Console.IsOutputRedirected)
            console.Profile.Width = 4000;
        console.Write(table);
    }
}

/// <summary>One column of a table.</summary>
internal sealed record Column<T>(string Title, Func<T, string> Value);
