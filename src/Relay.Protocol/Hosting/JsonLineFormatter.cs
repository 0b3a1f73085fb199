using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Relay.Protocol.Hosting;

/// <summary>
/// Console log as JSON lines: <c>level</c>, <c>ts</c> (UTC, RFC 3339), <c>msg</c>, then the message's scalar arguments in snake_case;
/// <c>error</c> and <c>exception</c> when there is one. An argument named like one of these is dropped, never doubled.
/// Arguments a message template does not mention become fields all the same, so <c>msg</c> can stay a fixed phrase.
/// Safe for concurrent use.
/// </summary>
public sealed class JsonLineFormatter : ConsoleFormatter
{
    /// <summary>The name under which the console logger finds it.</summary>
    public const string FormatterName = "json-lines";

    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly TimeProvider _time;

    /// <summary>Made by the service container.</summary>
    /// <param name="time">Gives <c>ts</c>.</param>
    public JsonLineFormatter(TimeProvider time)
        : base(FormatterName)
    {
        _time = time;
    }

    /// <inheritdoc/>
    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        ArgumentNullException.ThrowIfNull(textWriter);
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer, WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("level", LevelName(logEntry.LogLevel));
            json.WriteString("ts", _time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            json.WriteString("msg", logEntry.Formatter?.Invoke(logEntry.State, logEntry.Exception) ?? logEntry.State?.ToString());
            if (logEntry.State is IReadOnlyList<KeyValuePair<string, object?>> fields)
            {
                WriteFields(json, fields);
            }

            if (logEntry.Exception is { } exception)
            {
                json.WriteString("error", exception.Message);
                json.WriteString("exception", exception.ToString());
            }

            json.WriteEndObject();
        }

        textWriter.Write(Encoding.UTF8.GetString(buffer.WrittenSpan));
        textWriter.Write('\n');
    }

    private static void WriteFields(Utf8JsonWriter json, IReadOnlyList<KeyValuePair<string, object?>> fields)
    {
        for (var i = 0; i < fields.Count; i++)
        {
            var (key, value) = fields[i];
            if (key == "{OriginalFormat}")
            {
                continue;
            }

            var name = JsonNamingPolicy.SnakeCaseLower.ConvertName(key);
            if (name is "level" or "ts" or "msg" or "error" or "exception")
            {
                continue;
            }

            switch (value)
            {
                case null:
                    break;
                case bool b:
                    json.WriteBoolean(name, b);
                    break;
                case int or long or short or byte or sbyte or ushort or uint:
                    json.WriteNumber(name, Convert.ToInt64(value, CultureInfo.InvariantCulture));
                    break;
                case ulong u:
                    json.WriteNumber(name, u);
                    break;
                case double d when double.IsFinite(d):
                    json.WriteNumber(name, d);
                    break;
                case decimal m:
                    json.WriteNumber(name, m);
                    break;
                case string s:
                    json.WriteString(name, s);
                    break;
                case DateTimeOffset t:
                    json.WriteString(name, t.ToUniversalTime());
                    break;
                case System.Collections.IEnumerable list:
                    WriteList(json, name, list);
                    break;
                default:
                    json.WriteString(name, Convert.ToString(value, CultureInfo.InvariantCulture));
                    break;
            }
        }
    }

    private static void WriteList(Utf8JsonWriter json, string name, System.Collections.IEnumerable list)
    {
        json.WriteStartArray(name);
        foreach (var item in list)
        {
            json.WriteStringValue(Convert.ToString(item, CultureInfo.InvariantCulture));
        }

        json.WriteEndArray();
    }

    private static string LevelName(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "error",
        LogLevel.Critical => "fatal",
        _ => "none",
    };
}

/// <summary>Adds <see cref="JsonLineFormatter"/> to a host's logging.</summary>
public static class JsonLineLoggingExtensions
{
    /// <summary>Logs JSON lines to stdout, and nothing else there.</summary>
    /// <param name="logging">The host's logging.</param>
    public static ILoggingBuilder AddJsonLines(this ILoggingBuilder logging)
    {
        ArgumentNullException.ThrowIfNull(logging);
        logging.Services.TryAddSingleton(TimeProvider.System);
        logging.AddConsole(console => console.FormatterName = JsonLineFormatter.FormatterName);
        logging.AddConsoleFormatter<JsonLineFormatter, ConsoleFormatterOptions>();
        return logging;
    }
}
