using System.Data;
using Dapper;

namespace Relay.Silo.Storage;

/// <summary>Process-wide mapping rules: snake_case columns to properties, timestamptz to <see cref="DateTimeOffset"/> in UTC.</summary>
internal static class DapperSetup
{
    private static readonly Lazy<bool> Applied = new(() =>
    {
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        SqlMapper.AddTypeHandler(new TimestampHandler());
        return true;
    });

    public static void Apply() => _ = Applied.Value;

    private sealed class TimestampHandler : SqlMapper.TypeHandler<DateTimeOffset>
    {
        public override DateTimeOffset Parse(object value) => value switch
        {
            DateTime time => new DateTimeOffset(time, TimeSpan.Zero),
            DateTimeOffset time => time,
            _ => throw new InvalidCastException($"{value.GetType()} is no timestamp"),
        };

        public override void SetValue(IDbDataParameter parameter, DateTimeOffset value) => parameter.Value = value.ToUniversalTime();
    }
}
