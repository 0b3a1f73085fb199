using Orleans.Runtime;
using Relay.GrainHost.Links;
using Relay.GrainHost.Serialization;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Calls;

/// <summary>A reference to a grain or observer as an argument: a block with 0 and the key, or 1 and the observer's silo, incarnation and id.</summary>
/// <typeparam name="T">The grain or observer interface.</typeparam>
internal sealed class ReferenceCodec<T>(Func<CallRouter> router, GrainTypes types) : Codec<T>
    where T : class
{
    public override WireType WireType => WireType.Block;

    // Not because a reference could change, but because writing it is where `this` instead of a reference is found out.
    public override bool IsImmutable => false;

    public override void Write(WireWriter writer, T value)
    {
        if (value is not GrainReference { Target: var target })
            throw new ArgumentException($"A {typeof(T).Name} that is handed to a grain must be a reference: use GetGrain, AsReference or CreateObjectReference.");
        var block = writer.BeginBlock();
        if (target.Observer is { } observer)
        {
            writer.WriteByte(1);
            writer.WriteString(observer.Silo);
            observer.Incarnation.TryWriteBytes(writer.Take(16));
            observer.Id.TryWriteBytes(writer.Take(16));
        }
        else
        {
            writer.WriteByte(0);
            writer.WriteString(target.Key);
        }

        writer.EndBlock(block);
    }

    public override T Read(ref WireReader reader)
    {
        var type = types.Get(typeof(T));
        var outer = reader.BeginBlock();
        var target = reader.ReadByte() switch
        {
            0 when !type.IsObserver => new CallTarget(router(), type, Key(reader.ReadString())),
            1 when type.IsObserver => new CallTarget(router(), type, new ObserverAddress(reader.ReadString(), new Guid(reader.Take(16)), new Guid(reader.Take(16)))),
            _ => throw new WireFormatException("A reference is of another kind than its interface."),
        };
        reader.EndBlock(outer);
        return (T)(object)type.MakeReference(target);
    }

    private static string Key(string key) => key.Length is > 0 and <= LinkWire.MaxKeyBytes ? key : throw new WireFormatException("A reference has no key, or one too long.");
}
