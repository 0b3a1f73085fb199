using System.Globalization;
using System.Text.Json;
using Relay.Api;
using Relay.Cli.Client;
using Spectre.Console;

namespace Relay.Cli.Output;

/// <summary>Where results go: data on stdout (a table, or the API's own JSON), everything else on stderr.</summary>
internal sealed class Render(bool json, TextWriter output, TextWriter error)
{
    /// <summary>True with <c>--output json</c>: stdout then carries JSON and nothing else.</summary>
    public bool Json { get; } = json;

    public TextWriter Out { get; } = output;

    public TextWriter Error { get; } = error;

    /// <summary>As <see cref="Table"/>; who sees a part of a list is told so.</summary>
    public void Page<T>(ApiAnswer<Page<T>> page, string whenEmpty, params Column<T>[] columns)
    {
        Table(page.Json, page.Value.List, whenEmpty, columns);
        var (shown, all) = (page.Value.List.Count, page.Value.Pagination.TotalRecords);
        if (!Json && shown > 0 && shown < all)
            Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{shown} of {all} are shown."));
    }

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
    public void Done(string rawJson, string sentence)
    {
        Out.WriteLine(Json ? rawJson : sentence);
        if (!Json && InForce(rawJson) is { } where)
            Error.WriteLine(where);
    }

    /// <summary>Where in the grid the change is in force, when the answer says so; not data, so for stderr. Null: it does not.</summary>
    public static string? InForce(string rawJson)
    {
        try
        {
            using var document = JsonDocument.Parse(rawJson);
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("revocation", out var element)
                || element.Deserialize(ApiJson.Default.Revocation) is not { Silos: > 0 } revocation)
                return null;
            var text = string.Create(CultureInfo.InvariantCulture, $"in force on {revocation.Confirmed} of {revocation.Silos} {(revocation.Silos == 1 ? "silo" : "silos")}");
            return revocation.Confirmed == revocation.Silos
                ? string.Create(CultureInfo.InvariantCulture, $"{text} ({revocation.Seconds:0.00} s)")
                : $"⚠ {text}: the others had not confirmed after {revocation.Seconds.ToString("0.0", CultureInfo.InvariantCulture)} s";
        }
        catch (JsonException)
        {
            return null;
        }
    }

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
