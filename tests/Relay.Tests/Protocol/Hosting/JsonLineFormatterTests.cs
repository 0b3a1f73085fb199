using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Protocol.Hosting;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Hosting;

public sealed class JsonLineFormatterTests
{
    [Fact]
    public void A_line_has_level_time_message_and_its_scalar_fields()
    {
        var json = Write(LogLevel.Information, null, ("SiloName", "a"), ("Count", 3), ("Ok", true), ("Nothing", null), ("{OriginalFormat}", "x"));
        Assert.Equal("""{"level":"info","ts":"2026-01-01T00:00:00.000Z","msg":"hello \"you\"","silo_name":"a","count":3,"ok":true}""", json);
    }

    [Fact]
    public void A_field_cannot_pretend_to_be_level_time_or_message()
    {
        using var line = JsonDocument.Parse(Write(LogLevel.Warning, null, ("Level", "fatal"), ("Msg", "forged"), ("Ts", "0")));
        Assert.Equal("warn", line.RootElement.GetProperty("level").GetString());
        Assert.Equal(3, line.RootElement.EnumerateObject().Count());
    }

    [Fact]
    public void Line_breaks_in_a_value_do_not_break_the_line()
    {
        var text = Write(LogLevel.Error, new InvalidOperationException("a\nb"), ("Value", "1\n{\"level\":\"info\"}"));
        Assert.DoesNotContain('\n', text);
        using var line = JsonDocument.Parse(text);
        Assert.Equal("a\nb", line.RootElement.GetProperty("error").GetString());
        Assert.Contains("InvalidOperationException", line.RootElement.GetProperty("exception").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_list_becomes_an_array_of_texts()
    {
        using var line = JsonDocument.Parse(Write(LogLevel.Debug, null, ("Places", new[] { "a", "b" })));
        Assert.Equal(["a", "b"], line.RootElement.GetProperty("places").EnumerateArray().Select(e => e.GetString()));
    }

    private static string Write(LogLevel level, Exception? exception, params (string Key, object? Value)[] fields)
    {
        var formatter = new JsonLineFormatter(new ManualTimeProvider());
        using var writer = new StringWriter();
        KeyValuePair<string, object?>[] state = [.. fields.Select(f => new KeyValuePair<string, object?>(f.Key, f.Value))];
        formatter.Write(new LogEntry<KeyValuePair<string, object?>[]>(level, "c", 1, state, exception, (_, _) => "hello \"you\""), null, writer);
        var line = writer.ToString();
        Assert.EndsWith("\n", line, StringComparison.Ordinal);
        return line[..^1];
    }
}
