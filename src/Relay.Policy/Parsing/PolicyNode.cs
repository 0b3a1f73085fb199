using System.Text.Json;

namespace Relay.Policy;

/// <summary>A value of the document with its path. Readers report what is wrong and go on, so that every error is found at once.</summary>
internal readonly struct PolicyNode(JsonElement value, string path, ErrorList errors)
{
    public string Path => path;

    public JsonElement Value => value;

    public bool IsNull => value.ValueKind == JsonValueKind.Null;

    public void Error(string message) => errors.Add(path, message);

    /// <summary>Null: not an object (reported). Unknown and repeated keys are reported.</summary>
    public ObjectNode? Object(params ReadOnlySpan<string> known)
    {
        var members = Members();
        if (members is null)
            return null;
        foreach (var (key, member) in members)
        {
            if (errors.IsFull)
                break;
            if (!known.Contains(key))
                member.Error($"Unknown key.{Suggestion.For(key, known)}");
        }

        return new ObjectNode(members);
    }

    /// <summary>An object that must be <c>{}</c>. False: reported.</summary>
    public bool Empty() => Object() is not null;

    /// <summary>An object whose keys are free. Null: not an object (reported). Repeated keys are reported.</summary>
    public Dictionary<string, PolicyNode>? Members()
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            Error($"Expected an object, found {Kind}.");
            return null;
        }

        var members = new Dictionary<string, PolicyNode>(StringComparer.Ordinal);
        foreach (var property in value.EnumerateObject())
        {
            if (errors.IsFull)
                break;
            string name;
            try
            {
                name = property.Name;
            }
            catch (InvalidOperationException)
            {
                // An escape such as \ud800 without its second half: legal JSON grammar, no text.
                Error("A key is not valid Unicode.");
                continue;
            }

            var child = JsonPath.Child(path, name);
            if (!members.TryAdd(name, new PolicyNode(property.Value, child, errors)))
                errors.Add(child, "The key appears twice.");
        }

        return members;
    }

    /// <summary>Null: not an array or too long (reported). Entries for which <paramref name="read"/> returns null are left out; it has reported them.</summary>
    public IReadOnlyList<T>? List<T>(int maxEntries, Func<PolicyNode, T?> read)
        where T : class
    {
        if (value.ValueKind != JsonValueKind.Array)
        {
            Error($"Expected a list, found {Kind}.");
            return null;
        }

        if (value.GetArrayLength() > maxEntries)
        {
            Error($"At most {maxEntries} entries.");
            return null;
        }

        var entries = new List<T>(value.GetArrayLength());
        var index = 0;
        foreach (var entry in value.EnumerateArray())
        {
            if (errors.IsFull)
                break;
            if (read(new PolicyNode(entry, JsonPath.Child(path, index++), errors)) is { } item)
                entries.Add(item);
        }

        return entries;
    }

    /// <summary>A list of plain strings, see <see cref="Text"/>.</summary>
    public IReadOnlyList<string>? Texts() => List(PolicyLimits.MaxListEntries, static node => node.Text());

    /// <summary>A string of 1 to <paramref name="maxLength"/> characters, none of them control characters. Null: not so (reported).</summary>
    public string? Text(int maxLength = PolicyLimits.MaxStringLength)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            Error($"Expected a string, found {Kind}.");
            return null;
        }

        string text;
        try
        {
            text = value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // As in Members.
            Error("Not valid Unicode.");
            return null;
        }

        if (text.Length == 0)
            Error("Must not be empty.");
        else if (text.Length > maxLength)
            Error($"At most {maxLength} characters.");
        else if (text.Any(char.IsControl))
            Error("Must not hold control characters.");
        else
            return text;
        return null;
    }

    /// <summary>One of a closed set of words. Null: not so (reported).</summary>
    public string? Word(params ReadOnlySpan<string> known)
    {
        if (Text() is not { } text)
            return null;
        if (known.Contains(text))
            return text;
        Error($"Unknown value {SafeText.Quote(text)}.{Suggestion.For(text, known)}");
        return null;
    }

    /// <summary>Null: not a boolean (reported).</summary>
    public bool? Boolean()
    {
        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return value.GetBoolean();
        Error($"Expected true or false, found {Kind}.");
        return null;
    }

    /// <summary><c>max_session_duration_seconds</c>. Null: not so (reported).</summary>
    public TimeSpan? DurationSeconds()
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var seconds) && seconds is > 0 and <= PolicyLimits.MaxSessionDurationSeconds)
            return TimeSpan.FromSeconds(seconds);
        Error($"Expected a whole number of seconds from 1 to {PolicyLimits.MaxSessionDurationSeconds}; leave the key out for no limit.");
        return null;
    }

    private string Kind => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };
}
