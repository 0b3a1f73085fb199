namespace Relay.Policy;

/// <summary>An object of the document whose keys were checked.</summary>
internal sealed class ObjectNode(Dictionary<string, PolicyNode> members)
{
    public int Count => members.Count;

    public bool Has(string key) => members.ContainsKey(key);

    /// <summary>Null when the key is missing, or when <paramref name="read"/> returns null.</summary>
    public T? Read<T>(string key, Func<PolicyNode, T?> read)
        where T : class =>
        members.TryGetValue(key, out var node) ? read(node) : null;

    /// <inheritdoc cref="Read{T}(string, Func{PolicyNode, T})"/>
    public T? Value<T>(string key, Func<PolicyNode, T?> read)
        where T : struct =>
        members.TryGetValue(key, out var node) ? read(node) : null;

    /// <summary>True when the key is there and is <c>{}</c>; anything else in it is reported.</summary>
    public bool Flag(string key) => members.TryGetValue(key, out var node) && node.Empty();
}
